/* language_table.c - the languages. To add one, add a row; the tests check that no name, file name
 * or extension appears twice. What the fields mean is in languages.h.
 *
 * A language without block comments and without strings that span lines needs no strings here: a
 * comment marker inside a one-line string stands on a line that is code anyway. */
#include "worker/analyze/languages.h"

/* ---- words for the rows ----------------------------------------------------------------------- */

#define LINE(text) {.open = (text)}
#define LINE_IF(text, rule) {.open = (text), .rules = (rule)}
#define LINE_BUT(text, bytes) {.open = (text), .not_before = (bytes)}
#define BLOCK(from, to) {.open = (from), .close = (to)}
#define NESTED(from, to) {.open = (from), .close = (to), .rules = BLOCK_NESTED}
#define BLOCK_IF(from, to, rule) {.open = (from), .close = (to), .rules = (rule)}
#define STRING(from, to, esc, rule) \
    {.open = (from), .close = (to), .escape = (esc), .rules = (rule)}
#define PREFIXED(before, from, to, esc, rule) \
    {.open = (from), .close = (to), .escape = (esc), .rules = (rule), .prefix = (before)}

#define DQ STRING("\"", "\"", '\\', 0)             /* "one line, \" inside" */
#define SQ STRING("'", "'", '\\', 0)               /* 'the same' */
#define DQ_LINES STRING("\"", "\"", '\\', STRING_LINES)
#define SQ_LINES STRING("'", "'", '\\', STRING_LINES)
#define DQ_PLAIN STRING("\"", "\"", 0, STRING_LINES) /* no escapes but "" */
#define SQ_PLAIN STRING("'", "'", 0, STRING_LINES)
#define DQ3 STRING("\"\"\"", "\"\"\"", '\\', STRING_LINES)
#define SQ3 STRING("'''", "'''", '\\', STRING_LINES)
#define DQ3_RAW STRING("\"\"\"", "\"\"\"", 0, STRING_LINES)
#define CHAR_NUMBER STRING("'", "'", '\\', STRING_NUMBER) /* 'x', but 1'000 is a number */
#define CHAR STRING("'", "'", '\\', STRING_CHAR)          /* 'x', but 'a alone is a name */
#define BACKTICKS STRING("`", "`", 0, STRING_LINES)
#define TEMPLATE STRING("`", "`", '\\', STRING_LINES | STRING_TEMPLATE)
#define REGEX STRING("/", "/", '\\', STRING_REGEX)

#define C_COMMENTS .lines = {LINE_IF("//", LINE_SPLICED)}, .blocks = {BLOCK("/*", "*/")}
#define SLASH_COMMENTS .lines = {LINE("//")}, .blocks = {BLOCK("/*", "*/")}
#define SLASH_NESTED .lines = {LINE("//")}, .blocks = {NESTED("/*", "*/")}
#define HASH_COMMENTS .lines = {LINE("#")}
#define XML_COMMENTS .blocks = {BLOCK("<!--", "-->")}
#define C_LIKE C_COMMENTS, .strings = {DQ, CHAR_NUMBER}
#define CPP_LIKE \
    C_COMMENTS, .strings = {PREFIXED("R", "\"", "\"", 0, STRING_LINES | STRING_CPP_RAW), DQ, CHAR_NUMBER}
#define JAVA_LIKE SLASH_COMMENTS, .strings = {DQ3, DQ, SQ}
#define SCRIPT_LIKE SLASH_COMMENTS, .strings = {DQ, SQ, TEMPLATE, REGEX}
#define PYTHON_STRINGS                                                      \
    .strings = {STRING("\"\"\"", "\"\"\"", '\\', STRING_LINES | STRING_DOC), \
                STRING("'''", "'''", '\\', STRING_LINES | STRING_DOC), DQ, SQ}
#define LISP_LIKE                                                                   \
    .rules = LANGUAGE_ESCAPES, .lines = {LINE(";")}, .blocks = {NESTED("#|", "|#")}, \
    .strings = {DQ_LINES}
#define HASKELL_SYMBOLS "!#$%&*+./<=>?@\\^|~:"
#define HASKELL_COMMENTS \
    .lines = {LINE_BUT("--", HASKELL_SYMBOLS)}, .blocks = {NESTED("{-", "-}")}

/* clang-format off: one paragraph for each language */
const struct language language_table[] = {
    /* ---- C and what looks like it ---- */
    {.name = "C", .extensions = "c ec pgc", C_LIKE},
    {.name = "C Header", .extensions = "h", CPP_LIKE},
    {.name = "C++", .extensions = "cpp cc cxx c++ C cppm ixx mxx tcc tpp txx", CPP_LIKE},
    {.name = "C++ Header", .extensions = "hpp hh hxx h++ H ipp inl", CPP_LIKE},
    {.name = "Objective-C", .extensions = "m", C_LIKE},
    {.name = "Objective-C++", .extensions = "mm", CPP_LIKE},
    {.name = "C#", .extensions = "cs csx", SLASH_COMMENTS,
     .strings = {DQ3_RAW, PREFIXED("@", "\"", "\"", 0, STRING_LINES),
                 PREFIXED("@$", "\"", "\"", 0, STRING_LINES), DQ, SQ}},
    {.name = "CUDA", .extensions = "cu cuh", CPP_LIKE},
    {.name = "OpenCL", .extensions = "cl", C_LIKE},
    {.name = "GLSL", .extensions = "vert frag geom tesc tese comp glsl vsh fsh", C_COMMENTS},
    {.name = "HLSL", .extensions = "hlsl hlsli fxh", C_LIKE},
    {.name = "WGSL", .extensions = "wgsl", SLASH_NESTED},
    {.name = "Metal", .extensions = "metal", CPP_LIKE},
    {.name = "Arduino", .extensions = "ino", CPP_LIKE},
    {.name = "SWIG", .extensions = "i swg", CPP_LIKE},
    {.name = "Yacc", .extensions = "y yy ypp", C_LIKE},
    {.name = "Lex", .extensions = "l lex", C_LIKE},
    {.name = "Device Tree", .extensions = "dts dtsi", C_LIKE},
    {.name = "Linker Script", .extensions = "ld lds", .blocks = {BLOCK("/*", "*/")}},
    {.name = "Vala", .extensions = "vala vapi", SLASH_COMMENTS, .strings = {DQ3_RAW, DQ, SQ}},
    {.name = "D", .extensions = "d di", .lines = {LINE("//")},
     .blocks = {BLOCK("/*", "*/"), NESTED("/+", "+/")},
     .strings = {PREFIXED("r", "\"", "\"", 0, STRING_LINES), DQ_LINES, BACKTICKS, CHAR_NUMBER}},
    {.name = "Go", .extensions = "go", SLASH_COMMENTS, .strings = {DQ, SQ, BACKTICKS}},
    {.name = "Rust", .extensions = "rs", SLASH_NESTED,
     .strings = {PREFIXED("r", "\"", "\"", 0, STRING_LINES | STRING_HASHES), DQ_LINES, CHAR}},
    {.name = "Zig", .extensions = "zig zon", .lines = {LINE("//")},
     .strings = {DQ, SQ, STRING("\\\\", "\n", 0, 0)}},
    {.name = "Odin", .extensions = "odin", SLASH_NESTED, .strings = {DQ, SQ, BACKTICKS}},
    {.name = "V", .extensions = "vv", SLASH_NESTED, .strings = {DQ_LINES, SQ_LINES, BACKTICKS}},

    /* ---- the JVM, the web, telephones ---- */
    {.name = "Java", .extensions = "java", JAVA_LIKE},
    {.name = "Kotlin", .extensions = "kt kts", .interpreters = "kotlin kotlinc", SLASH_NESTED,
     .strings = {DQ3_RAW, DQ, SQ}},
    {.name = "Scala", .extensions = "scala sc sbt", .interpreters = "scala", SLASH_NESTED,
     .strings = {DQ3_RAW, DQ, CHAR}},
    {.name = "Groovy", .extensions = "groovy grt gtpl gvy", .files = "Jenkinsfile",
     .interpreters = "groovy", SLASH_COMMENTS, .strings = {DQ3, SQ3, DQ, SQ}},
    {.name = "Gradle", .extensions = "gradle", SLASH_COMMENTS, .strings = {DQ3, SQ3, DQ, SQ}},
    {.name = "Swift", .extensions = "swift", .interpreters = "swift", SLASH_NESTED,
     .strings = {PREFIXED("#", "\"\"\"", "\"\"\"", 0, STRING_LINES | STRING_HASHES),
                 PREFIXED("#", "\"", "\"", 0, STRING_HASHES), DQ3, DQ}},
    {.name = "Dart", .extensions = "dart", .interpreters = "dart", SLASH_NESTED,
     .strings = {PREFIXED("r", "\"\"\"", "\"\"\"", 0, STRING_LINES),
                 PREFIXED("r", "'''", "'''", 0, STRING_LINES), DQ3, SQ3,
                 PREFIXED("r", "\"", "\"", 0, 0), PREFIXED("r", "'", "'", 0, 0), DQ, SQ}},
    {.name = "JavaScript", .extensions = "js mjs cjs es6", .files = "Jakefile",
     .interpreters = "node nodejs deno bun qjs", SCRIPT_LIKE},
    {.name = "JSX", .extensions = "jsx", SCRIPT_LIKE},
    {.name = "TypeScript", .extensions = "ts mts cts", .interpreters = "ts-node tsx", SCRIPT_LIKE},
    {.name = "TSX", .extensions = "tsx", SCRIPT_LIKE},
    {.name = "CoffeeScript", .extensions = "coffee cson", .files = "Cakefile",
     .interpreters = "coffee", .lines = {LINE("#")}, .blocks = {BLOCK("###", "###")},
     .strings = {DQ3, SQ3, DQ_LINES, SQ_LINES}},
    {.name = "Haxe", .extensions = "hx", SLASH_COMMENTS, .strings = {DQ_LINES, SQ_LINES, REGEX}},
    {.name = "ActionScript", .extensions = "as", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Apex", .extensions = "apex trigger", SLASH_COMMENTS, .strings = {SQ}},
    {.name = "Solidity", .extensions = "sol", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "QML", .extensions = "qml", SCRIPT_LIKE},
    {.name = "PHP", .extensions = "php php3 php4 php5 phtml phpt", .interpreters = "php",
     .rules = LANGUAGE_BEGINS_IN_TEXT | LANGUAGE_HEREDOC_PHP,
     .lines = {{.open = "//", .until = "?>"}, {.open = "#", .not_before = "[", .until = "?>"}},
     .blocks = {BLOCK("/*", "*/")},
     .strings = {STRING("?>", "<?", 0, STRING_LINES | STRING_TEXT), DQ_LINES, SQ_LINES}},
    {.name = "HTML", .extensions = "html htm xhtml shtml", XML_COMMENTS},
    {.name = "Vue", .extensions = "vue", .blocks = {BLOCK("<!--", "-->"), BLOCK("/*", "*/")},
     .lines = {LINE_IF("//", LINE_FIRST)}},
    {.name = "Svelte", .extensions = "svelte", .blocks = {BLOCK("<!--", "-->"), BLOCK("/*", "*/")},
     .lines = {LINE_IF("//", LINE_FIRST)}},
    {.name = "CSS", .extensions = "css", .blocks = {BLOCK("/*", "*/")}, .strings = {DQ, SQ}},
    {.name = "SCSS", .extensions = "scss", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Sass", .extensions = "sass", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Less", .extensions = "less", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Stylus", .extensions = "styl", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "ERB", .extensions = "erb rhtml", .blocks = {BLOCK("<!--", "-->"), BLOCK("<%#", "%>")}},
    {.name = "Jinja", .extensions = "j2 jinja jinja2",
     .blocks = {BLOCK("{#", "#}"), BLOCK("<!--", "-->")}},
    {.name = "Twig", .extensions = "twig", .blocks = {BLOCK("{#", "#}"), BLOCK("<!--", "-->")}},
    {.name = "Handlebars", .extensions = "hbs handlebars mustache",
     .blocks = {BLOCK("{{!--", "--}}"), BLOCK("{{!", "}}"), BLOCK("<!--", "-->")}},
    {.name = "Blade", .extensions = "blade.php",
     .blocks = {BLOCK("{{--", "--}}"), BLOCK("<!--", "-->")}},

    /* ---- scripting ---- */
    {.name = "Python", .extensions = "py pyi pyw", .files = "SConstruct SConscript wscript",
     .interpreters = "python pypy", HASH_COMMENTS, PYTHON_STRINGS},
    {.name = "Cython", .extensions = "pyx pxd pxi", HASH_COMMENTS, PYTHON_STRINGS},
    {.name = "Starlark", .extensions = "bzl star bazel",
     .files = "BUILD WORKSPACE BUILD.bazel WORKSPACE.bazel MODULE.bazel", HASH_COMMENTS,
     PYTHON_STRINGS},
    {.name = "Ruby", .extensions = "rb rake gemspec ru podspec",
     .files = "Rakefile Gemfile Guardfile Vagrantfile Podfile Capfile Brewfile Fastfile",
     .interpreters = "ruby jruby", .rules = LANGUAGE_HEREDOC_RUBY, HASH_COMMENTS,
     .blocks = {BLOCK_IF("=begin", "=end", BLOCK_COLUMN_1)}},
    {.name = "Crystal", .extensions = "cr", .interpreters = "crystal",
     .rules = LANGUAGE_HEREDOC_RUBY, HASH_COMMENTS},
    {.name = "Perl", .extensions = "pl pm t plx", .interpreters = "perl",
     .rules = LANGUAGE_HEREDOC_RUBY, .lines = {LINE_IF("#", LINE_WORD)},
     .blocks = {{.open = "=", .close = "=cut", .rules = BLOCK_COLUMN_1, .not_before = " \t\n=~>"}}},
    {.name = "Shell", .extensions = "sh bash zsh ksh dash ash ebuild bats",
     .files = ".bashrc .bash_profile .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile "
              "PKGBUILD APKBUILD",
     .interpreters = "sh bash dash ash ksh mksh zsh busybox bats",
     .rules = LANGUAGE_ESCAPES | LANGUAGE_HEREDOC_SHELL, .lines = {LINE_IF("#", LINE_WORD)},
     .strings = {PREFIXED("$", "'", "'", '\\', STRING_LINES), SQ_PLAIN, DQ_LINES}},
    {.name = "Fish", .extensions = "fish", .interpreters = "fish", .rules = LANGUAGE_ESCAPES,
     .lines = {LINE_IF("#", LINE_WORD)}, .strings = {SQ_LINES, DQ_LINES}},
    {.name = "C Shell", .extensions = "csh tcsh", .files = ".cshrc .tcshrc .login",
     .interpreters = "csh tcsh", .lines = {LINE_IF("#", LINE_WORD)}},
    {.name = "PowerShell", .extensions = "ps1 psm1 psd1", .interpreters = "pwsh powershell",
     .lines = {LINE_IF("#", LINE_WORD)}, .blocks = {BLOCK("<#", "#>")},
     .strings = {STRING("@\"", "\"@", 0, STRING_LINES), STRING("@'", "'@", 0, STRING_LINES),
                 STRING("\"", "\"", '`', STRING_LINES), SQ_PLAIN}},
    {.name = "Batch", .extensions = "bat cmd btm",
     .lines = {LINE_IF("REM", LINE_FIRST | LINE_NOCASE), LINE_IF("@REM", LINE_FIRST | LINE_NOCASE),
               LINE_IF("::", LINE_FIRST)}},
    {.name = "Lua", .extensions = "lua luau rockspec", .interpreters = "lua luajit",
     .lines = {LINE("--")}, .blocks = {BLOCK_IF("--", "]]", BLOCK_LEVELS)},
     .strings = {STRING("[", "]]", 0, STRING_LINES | STRING_LEVELS), DQ, SQ}},
    {.name = "Tcl", .extensions = "tcl tk itcl exp", .interpreters = "tclsh wish expect",
     .lines = {LINE_IF("#", LINE_FIRST | LINE_SPLICED)}},
    {.name = "Awk", .extensions = "awk gawk mawk nawk", .interpreters = "awk gawk mawk nawk",
     HASH_COMMENTS},
    {.name = "Sed", .extensions = "sed", .interpreters = "sed", .lines = {LINE_IF("#", LINE_FIRST)}},
    {.name = "Vim Script", .extensions = "vim vimrc", .files = ".vimrc .gvimrc .exrc vimrc",
     .lines = {LINE_IF("\"", LINE_FIRST)}},
    {.name = "R", .extensions = "r R rprofile", .files = ".Rprofile", .interpreters = "Rscript",
     HASH_COMMENTS, .strings = {DQ_LINES, SQ_LINES}},
    {.name = "Julia", .extensions = "jl", .interpreters = "julia", HASH_COMMENTS,
     .blocks = {NESTED("#=", "=#")}, .strings = {DQ3, DQ_LINES, CHAR}},
    {.name = "MATLAB", .interpreters = "octave",
     .lines = {LINE("%"), LINE_IF("#", LINE_FIRST)},
     .blocks = {BLOCK_IF("%{", "%}", BLOCK_ALONE)}},
    {.name = "AppleScript", .extensions = "applescript", .interpreters = "osascript",
     .lines = {LINE("--"), LINE("#")}, .blocks = {NESTED("(*", "*)")}, .strings = {DQ_LINES}},

    /* ---- functional ---- */
    {.name = "Haskell", .extensions = "hs hsc lhs", .interpreters = "runhaskell runghc stack",
     HASKELL_COMMENTS, .strings = {DQ, CHAR}},
    {.name = "Elm", .extensions = "elm", HASKELL_COMMENTS, .strings = {DQ3, DQ, CHAR}},
    {.name = "PureScript", .extensions = "purs", HASKELL_COMMENTS, .strings = {DQ3_RAW, DQ, CHAR}},
    {.name = "Idris", .extensions = "idr lidr", HASKELL_COMMENTS, .strings = {DQ3, DQ, CHAR}},
    {.name = "Agda", .extensions = "agda", HASKELL_COMMENTS, .strings = {DQ, CHAR}},
    {.name = "OCaml", .extensions = "ml mli mll mly", .interpreters = "ocaml",
     .blocks = {NESTED("(*", "*)")},
     .strings = {DQ_LINES, STRING("{|", "|}", 0, STRING_LINES), CHAR}},
    {.name = "F#", .extensions = "fs fsi fsx", .lines = {LINE("//")},
     .blocks = {{.open = "(*", .close = "*)", .rules = BLOCK_NESTED, .not_before = ")"}},
     .strings = {DQ3_RAW, PREFIXED("@", "\"", "\"", 0, STRING_LINES), DQ_LINES, CHAR}},
    {.name = "Standard ML", .extensions = "sml sig fun", .blocks = {NESTED("(*", "*)")},
     .strings = {DQ}},
    {.name = "Coq", .blocks = {NESTED("(*", "*)")}, .strings = {DQ_PLAIN}},
    {.name = "Lean", .extensions = "lean", .lines = {LINE("--")}, .blocks = {NESTED("/-", "-/")},
     .strings = {DQ_LINES, CHAR}},
    {.name = "Erlang", .extensions = "erl hrl", .files = "rebar.config", .interpreters = "escript",
     .lines = {LINE("%")}},
    {.name = "Elixir", .extensions = "ex exs", .interpreters = "elixir", HASH_COMMENTS,
     .strings = {DQ3, SQ3, DQ_LINES}},
    {.name = "Gleam", .extensions = "gleam", .lines = {LINE("//")}, .strings = {DQ_LINES}},
    {.name = "Clojure", .extensions = "clj cljs cljc edn", .interpreters = "clojure bb",
     .rules = LANGUAGE_ESCAPES, .lines = {LINE(";")}, .strings = {DQ_LINES}},
    {.name = "Common Lisp", .extensions = "lisp lsp asd", .interpreters = "sbcl clisp",
     LISP_LIKE},
    {.name = "Emacs Lisp", .extensions = "el", .files = ".emacs", .interpreters = "emacs",
     .rules = LANGUAGE_ESCAPES, .lines = {LINE(";")}, .strings = {DQ_LINES}},
    {.name = "Scheme", .extensions = "scm ss sld sps", .interpreters = "guile chez", LISP_LIKE},
    {.name = "Racket", .extensions = "rkt", .interpreters = "racket", LISP_LIKE},
    {.name = "Prolog", .extensions = "pro prolog", .interpreters = "swipl", .lines = {LINE("%")},
     .blocks = {BLOCK("/*", "*/")}, .strings = {DQ, CHAR_NUMBER}},
    {.name = "Nix", .extensions = "nix", HASH_COMMENTS, .blocks = {BLOCK("/*", "*/")},
     .strings = {STRING("''", "''", 0, STRING_LINES), DQ_LINES}},
    {.name = "Nim", .extensions = "nim nims nimble", .interpreters = "nim", HASH_COMMENTS,
     .blocks = {NESTED("#[", "]#"), NESTED("##[", "]##")}, .strings = {DQ3_RAW, DQ, CHAR}},

    /* ---- old and near the machine ---- */
    {.name = "Assembly", .extensions = "asm nasm a51", .lines = {LINE(";")}},
    {.name = "GNU Assembly", .extensions = "s S sx",
     .lines = {LINE("//"), LINE_IF("#", LINE_WORD | LINE_NO_CPP), LINE_IF("@", LINE_FIRST),
               LINE_IF(";", LINE_FIRST)},
     .blocks = {BLOCK("/*", "*/")}, .strings = {DQ}},
    {.name = "LLVM IR", .extensions = "ll", .lines = {LINE(";")}},
    {.name = "WebAssembly", .extensions = "wat wast", .lines = {LINE(";;")},
     .blocks = {NESTED("(;", ";)")}, .strings = {DQ}},
    {.name = "Fortran", .extensions = "f90 f95 f03 f08 f18", .lines = {LINE("!")}},
    {.name = "Fortran 77", .extensions = "f for ftn f77 fpp",
     .lines = {LINE_IF("c", LINE_COLUMN_1), LINE_IF("C", LINE_COLUMN_1), LINE_IF("*", LINE_COLUMN_1),
               LINE("!")}},
    {.name = "Pascal", .extensions = "pas dpr lpr dpk", .lines = {LINE("//")},
     .blocks = {BLOCK("{", "}"), BLOCK("(*", "*)")}, .strings = {STRING("'", "'", 0, 0)}},
    {.name = "Ada", .extensions = "adb ads ada", .lines = {LINE("--")}},
    {.name = "Verilog", .extensions = "v vh", SLASH_COMMENTS, .strings = {DQ}},
    {.name = "SystemVerilog", .extensions = "sv svh", SLASH_COMMENTS, .strings = {DQ}},
    {.name = "VHDL", .extensions = "vhd vhdl", .lines = {LINE("--")},
     .blocks = {BLOCK("/*", "*/")}, .strings = {STRING("\"", "\"", 0, 0)}},
    {.name = "Visual Basic", .extensions = "vb vbs bas frm",
     .lines = {LINE("'"), LINE_IF("REM", LINE_FIRST | LINE_NOCASE)}},
    {.name = "Forth", .extensions = "fth 4th forth", .lines = {LINE_IF("\\", LINE_WORD)},
     .blocks = {BLOCK("( ", ")")}},

    /* ---- data, markup, text ---- */
    {.name = "SQL", .extensions = "sql psql plsql", .lines = {LINE("--")},
     .blocks = {BLOCK("/*", "*/")}, .strings = {SQ_PLAIN, DQ_PLAIN}},
    {.name = "XML", .extensions = "xml xsd xsl xslt wsdl rss atom plist csproj vbproj vcxproj props "
                                  "targets resx xaml ui qrc iml pom storyboard xib",
     .blocks = {BLOCK("<!--", "-->")}, .strings = {STRING("<![CDATA[", "]]>", 0, STRING_LINES)}},
    {.name = "SVG", .extensions = "svg", XML_COMMENTS},
    {.name = "JSON", .extensions = "json geojson webmanifest avsc",
     .files = ".babelrc .eslintrc .prettierrc composer.lock"},
    {.name = "JSON with Comments", .extensions = "jsonc json5 code-workspace",
     .files = "tsconfig.json jsconfig.json", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Jupyter Notebook", .extensions = "ipynb"},
    {.name = "YAML", .extensions = "yaml yml", .files = ".clang-format .clang-tidy",
     .lines = {LINE_IF("#", LINE_WORD)}},
    {.name = "TOML", .extensions = "toml", .files = "Cargo.lock Pipfile poetry.lock", HASH_COMMENTS,
     .strings = {DQ3, STRING("'''", "'''", 0, STRING_LINES), DQ, STRING("'", "'", 0, 0)}},
    {.name = "INI", .extensions = "ini cfg conf cnf desktop service socket timer mount reg",
     .files = ".editorconfig .gitconfig .gitmodules .npmrc .pylintrc .flake8",
     .lines = {LINE_IF("#", LINE_FIRST), LINE_IF(";", LINE_FIRST)}},
    {.name = "Java Properties", .extensions = "properties",
     .lines = {LINE_IF("#", LINE_FIRST), LINE_IF("!", LINE_FIRST)}},
    {.name = "Markdown", .extensions = "md markdown mkd mdown mdx", XML_COMMENTS},
    {.name = "reStructuredText", .extensions = "rst rest"},
    {.name = "AsciiDoc", .extensions = "adoc asciidoc", .lines = {LINE_IF("//", LINE_COLUMN_1)},
     .blocks = {BLOCK_IF("////", "////", BLOCK_COLUMN_1)}},
    {.name = "Org", .extensions = "org", .lines = {LINE_IF("# ", LINE_FIRST)}},
    {.name = "TeX", .extensions = "tex sty cls dtx ltx ins bbx cbx", .rules = LANGUAGE_ESCAPES,
     .lines = {LINE("%")}, .blocks = {BLOCK("\\begin{comment}", "\\end{comment}")}},
    {.name = "BibTeX", .extensions = "bib", .lines = {LINE_IF("%", LINE_FIRST)}},
    {.name = "Roff", .extensions = "man roff mdoc mom tmac",
     .lines = {LINE_IF(".\\\"", LINE_COLUMN_1), LINE_IF("'\\\"", LINE_COLUMN_1)}},
    {.name = "Plain Text", .extensions = "txt text",
     .files = "README LICENSE COPYING AUTHORS NEWS THANKS INSTALL TODO CHANGES ChangeLog"},
    {.name = "Gettext", .extensions = "po pot", .lines = {LINE_IF("#", LINE_FIRST)}},
    {.name = "Protocol Buffers", .extensions = "proto", SLASH_COMMENTS, .strings = {DQ, SQ}},
    {.name = "Thrift", .extensions = "thrift", .lines = {LINE("//"), LINE("#")},
     .blocks = {BLOCK("/*", "*/")}, .strings = {DQ, SQ}},
    {.name = "FlatBuffers", .extensions = "fbs", SLASH_COMMENTS, .strings = {DQ}},
    {.name = "Cap'n Proto", .extensions = "capnp", HASH_COMMENTS},
    {.name = "GraphQL", .extensions = "graphql gql graphqls", HASH_COMMENTS, .strings = {DQ3, DQ}},
    {.name = "Gherkin", .extensions = "feature", .lines = {LINE_IF("#", LINE_FIRST)}},

    /* ---- building and running ---- */
    {.name = "Makefile", .extensions = "mk mak make",
     .files = "Makefile makefile GNUmakefile BSDmakefile Kbuild", .interpreters = "make gmake",
     .lines = {LINE_IF("#", LINE_SPLICED)}},
    {.name = "Automake", .extensions = "am", .lines = {LINE_IF("#", LINE_SPLICED)}},
    {.name = "Autoconf", .extensions = "ac m4", .files = "configure.in",
     .lines = {LINE_IF("dnl", LINE_WORD), LINE_IF("#", LINE_WORD)}},
    {.name = "CMake", .extensions = "cmake cmake.in", .files = "CMakeLists.txt", HASH_COMMENTS,
     .blocks = {BLOCK_IF("#", "]]", BLOCK_LEVELS)},
     .strings = {DQ_LINES, STRING("[", "]]", 0, STRING_LINES | STRING_LEVELS)}},
    {.name = "Meson", .files = "meson.build meson_options.txt meson.options", HASH_COMMENTS,
     .strings = {SQ3, SQ}},
    {.name = "Ninja", .extensions = "ninja", .lines = {LINE_IF("#", LINE_FIRST)}},
    {.name = "Kconfig", .files = "Kconfig", .lines = {LINE_IF("#", LINE_FIRST)}},
    {.name = "Dockerfile", .extensions = "dockerfile", .files = "Dockerfile Containerfile",
     .lines = {LINE_IF("#", LINE_FIRST)}},
    {.name = "Terraform", .extensions = "tf tfvars", .rules = LANGUAGE_HEREDOC_SHELL,
     .lines = {LINE("#"), LINE("//")}, .blocks = {BLOCK("/*", "*/")}, .strings = {DQ}},
    {.name = "HCL", .extensions = "hcl nomad", .rules = LANGUAGE_HEREDOC_SHELL,
     .lines = {LINE("#"), LINE("//")}, .blocks = {BLOCK("/*", "*/")}, .strings = {DQ}},
    {.name = "Puppet", .extensions = "pp", HASH_COMMENTS},
    {.name = "Just", .extensions = "just", .files = "justfile Justfile .justfile", HASH_COMMENTS},
    {.name = "Jsonnet", .extensions = "jsonnet libsonnet", .lines = {LINE("//"), LINE("#")},
     .blocks = {BLOCK("/*", "*/")}, .strings = {STRING("|||", "|||", 0, STRING_LINES), DQ, SQ}},
    {.name = "CUE", .extensions = "cue", .lines = {LINE("//")}, .strings = {DQ3, DQ}},
    {.name = "Rego", .extensions = "rego", HASH_COMMENTS, .strings = {DQ, BACKTICKS}},
    {.name = "RPM Spec", .extensions = "spec", .lines = {LINE_IF("#", LINE_FIRST)}},
};
/* clang-format on */

const size_t language_table_count = sizeof language_table / sizeof language_table[0];

/* What tells the languages of one extension apart; the table's own row is the usual one. */
const struct language_hint language_hints[] = {
    {"h", "@interface", "Objective-C"},
    {"h", "@protocol", "Objective-C"},
    {"h", "#import", "Objective-C"},
    {"h", "namespace ", "C++ Header"},
    {"h", "template<", "C++ Header"},
    {"h", "template <", "C++ Header"},
    {"h", "public:", "C++ Header"},
    {"h", "private:", "C++ Header"},
    {"h", "protected:", "C++ Header"},
    {"h", "using namespace", "C++ Header"},
    {"m", "function ", "MATLAB"},
    {"m", "function[", "MATLAB"},
    {"m", "classdef ", "MATLAB"},
    {"m", "%", "MATLAB"},
    {"pl", ":-", "Prolog"},
    {"pl", "%", "Prolog"},
    {"v", "Require ", "Coq"},
    {"v", "From ", "Coq"},
    {"v", "Theorem ", "Coq"},
    {"v", "Lemma ", "Coq"},
    {"v", "(*", "Coq"},
    {"v", "fn ", "V"},
    {"v", "pub fn ", "V"},
    {"ts", "<?xml", "XML"},
    {"ts", "<!DOCTYPE TS", "XML"},
    {"fs", "#version", "GLSL"},
    {"as", "<?xml", "XML"},
    {"cls", "VERSION 1.0 CLASS", "Visual Basic"},
    {"l", "(", "Common Lisp"},
    {"l", ";", "Common Lisp"},
    {"cl", "(", "Common Lisp"},
    {"cl", ";", "Common Lisp"},
};

const size_t language_hints_count = sizeof language_hints / sizeof language_hints[0];

const char language_binary_extensions[] =
    "a o so dylib dll exe lib ko elf bin class jar war pyc pyo pyd wasm node "
    "png jpg jpeg gif bmp ico icns tif tiff webp avif heic psd xcf "
    "mp3 mp4 m4a ogg oga ogv wav flac avi mov mkv webm "
    "zip gz bz2 xz zst lz4 7z rar tar tgz txz tbz2 deb rpm dmg iso cab apk whl "
    "pdf doc docx xls xlsx ppt pptx odt ods odp ttf otf woff woff2 eot "
    "db sqlite sqlite3 mdb npy npz pkl parquet mo gmo";
