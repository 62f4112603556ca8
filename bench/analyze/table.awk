# Lines "corpus|who|round|seconds 0 0 cpu-of-command cpu-of-broker cpu-of-worker 0 grown
# peak-of-worker peak-of-command" (CPU in seconds, memory in KiB) -> medians with the least and the
# most, ratios within a round, and whether their targets are met. "corpus|what|0|files bytes
# newlines" is what the floor has found there; "corpus|who|round|failed" a measurement that failed.

function seconds(x) {
    return sprintf(x < 1 ? "%.4f" : "%.2f", x)
}

function ratio(x) {
    return sprintf(x < 10 ? "%.2f" : "%.0f", x)
}

function spread(list, is_ratio,    n, m) {
    m = median(list)
    n = sort(list)
    if (n == 0)
        return "-"
    return is_ratio ? ratio(m) " [" ratio(sorted[1]) "-" ratio(sorted[n]) "]" \
                    : seconds(m) " [" seconds(sorted[1]) "-" seconds(sorted[n]) "]"
}

# In each round `left` divided by `right`, both of one corpus.
function ratios(corpus, left, right,    list, round) {
    for (round = 1; round <= rounds; round++)
        if ((corpus, left, round) in took && (corpus, right, round) in took)
            list = list " " took[corpus, left, round] / took[corpus, right, round]
    return list
}

function judge(corpus, who, left, right, what, target, is_least,    list, m) {
    list = ratios(corpus, left, right)
    if (list == "")
        return
    m = median(list)
    printf "  %-20s %-34s %-20s %s\n", who, what, spread(list, 1), \
        target == 0 ? "" : ((is_least ? m >= target : m <= target) ? "pass " : "MISS ") \
        (is_least ? ">= " : "<= ") target
}

$2 == "what" {
    corpora[++corpora_count] = $1
    what[$1] = $4
    next
}

$4 == "failed" {
    failed[$1, $2] = failed[$1, $2] " " $3
    next
}

{
    split($4, figure, " ")
    if (!(($1, $2) in list))
        rows[$1, ++rows_count[$1]] = $2
    if ($3 > rounds)
        rounds = $3 + 0
    took[$1, $2, $3] = figure[1]
    list[$1, $2] = list[$1, $2] " " figure[1]
    cpu[$1, $2] = cpu[$1, $2] " " figure[4] + figure[5] + figure[6]
    peak[$1, $2] = peak[$1, $2] " " (figure[9] > figure[10] ? figure[9] : figure[10]) / 1024
}

# The faster of the two, in each round.
function fastest(corpus,    round, a, b) {
    for (round = 1; round <= rounds; round++) {
        a = (corpus, "scc", round) in took ? took[corpus, "scc", round] : ""
        b = (corpus, "tokei", round) in took ? took[corpus, "tokei", round] : ""
        if (a != "" || b != "")
            took[corpus, "faster", round] = a == "" || (b != "" && b < a) ? b : a
    }
}

END {
    for (c = 1; c <= corpora_count; c++) {
        corpus = corpora[c]
        split(what[corpus], figure, " ")
        printf "\n%s: %d files, %.1f MB, %d lines\n", corpus, figure[1], figure[2] / 1e6, figure[3]
        printf "  %-20s %-26s %9s %9s\n", "", "seconds", "CPU s", "peak MiB"
        for (r = 1; r <= rows_count[corpus]; r++) {
            who = rows[corpus, r]
            printf "  %-20s %-26s %9s %9.1f%s\n", who, spread(list[corpus, who]), \
                seconds(median(cpu[corpus, who])), median(peak[corpus, who]), \
                (corpus, who) in failed ? "  FAILED in round" failed[corpus, who] : ""
        }
        many = threads " threads"
        engine = "engine, " many
        judge(corpus, "engine, 1 thread", "floor, 1 thread", "engine, 1 thread", \
            "as fast as the floor, times", 0.5, 1)
        judge(corpus, engine, "floor, " many, engine, "as fast as the floor, times", 0.5, 1)
        judge(corpus, "argosy analyze", "argosy analyze", threads > 1 ? engine : "engine, 1 thread", \
            "as long as the engine, times", 1.1, 0)
        judge(corpus, "argosy run analyze", "argosy run analyze", "argosy analyze", \
            "as long as a fleet that is up", 0, 0)
        fastest(corpus)
        judge(corpus, "argosy analyze", "scc", "argosy analyze", "as fast as scc, times", 0, 1)
        judge(corpus, "argosy analyze", "tokei", "argosy analyze", "as fast as tokei, times", 0, 1)
        judge(corpus, "argosy analyze", "faster", "argosy analyze", \
            "as fast as the faster of them", 4, 1)
        judge(corpus, "argosy analyze", "cloc", "argosy analyze", "as fast as cloc, times", 100, 1)
        for (key in failed) {
            split(key, part, SUBSEP)
            if (part[1] == corpus && !((corpus, part[2]) in list))
                printf "  %-20s FAILED in round%s\n", part[2], failed[key]
        }
    }
}
