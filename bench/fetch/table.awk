# Lines "row|who|round|seconds requests connections client broker worker server grown" (CPU in
# seconds, memory in KiB) -> medians with the least and the most, the ratios to Argosy of the same
# round, and whether its targets are met. "row|who|round|failed" is a measurement that failed.

BEGIN {
    title["c100"] = "1 KB, 100 at once, connections kept"
    title["c1000"] = "1 KB, 1,000 at once, connections kept"
    title["delay200"] = "200 answers that take 1 s each, all at once"
    title["delay5000"] = "5,000 answers that take 1 s each, all at once"
    title["tls"] = "1 KB over a new TLS connection each, 100 at once"
    title["tls-full"] = "the same, of a server that resumes no sessions"
    title["file"] = "a file of 2 GiB"
    # Ratios to reach.
    wanted["c100", "wrk"] = 0.35
    wanted["c100", "uvloop, manual"] = 8
    wanted["c100", "uvloop, tuned"] = 8
    wanted["c100", "curl -Z"] = 1.5
    wanted["c100", "wget2"] = 1
    wanted["c1000", "uvloop, manual"] = 6
    wanted["c1000", "uvloop, tuned"] = 6
    wanted["tls", "aiohttp+uvloop"] = 2
    wanted["file", "uvloop, manual"] = 3
    wanted["file", "uvloop, tuned"] = 3
    # Seconds, and MiB, not to exceed.
    longest["delay200"] = 1.05
    longest["delay5000"] = 1.5
    most_memory["file"] = 2
}

function number(x) {
    return x >= 100000 ? sprintf("%.0fk", x / 1000) : x >= 1000 ? sprintf("%.1fk", x / 1000) : \
           x >= 100 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function seconds(x) {
    return sprintf("%.3f", x)
}

function spread(list, is_seconds,    n, m) {
    m = median(list)
    n = split(list, sorted, " ")
    if (n == 0)
        return "-"
    sort(list)
    return is_seconds ? seconds(m) " [" seconds(sorted[1]) "-" seconds(sorted[n]) "]" \
                      : number(m) " [" number(sorted[1]) "-" number(sorted[n]) "]"
}

function verdict(is_met, what) {
    return (is_met ? "pass" : "MISS") " " what
}

{
    split($4, figure, " ")
    key = $1 SUBSEP $2
    if (!(key in seen))
        order[++lines] = $1 "|" $2
    seen[key] = 1
    is_base = $2 ~ /^Argosy/ && $2 !~ /SQLite/
    if (is_base)
        base = $4 == "failed" ? 0 : figure[1] / figure[2]
    if ($4 == "failed") {
        failed[key] = failed[key] (failed[key] == "" ? "" : ", ") $3
        next
    }
    each = figure[1] / figure[2]
    is_timed[$1] = $1 ~ /^delay|^file/
    speed[key] = speed[key] " " (is_timed[$1] ? figure[1] : 1 / each)
    if (!is_base && base > 0)
        ratio[key] = ratio[key] " " each / base
    for (i = 4; i <= 7; i++)
        cpu[key, i] = cpu[key, i] " " (is_timed[$1] ? figure[i] * 1e3 : figure[i] * 1e6 / figure[2])
    grown[key] = grown[key] " " figure[8] / 1024
    connections[key] = connections[key] " " figure[3]
}

function cpu_of(key, i,    m) {
    m = median(cpu[key, i])
    return m == 0 ? "-" : number(m)
}

END {
    line = "%-22s  %-22s  %-18s  %-14s  %7s %7s %7s %7s  %7s%s\n"
    for (k = 1; k <= lines; k++) {
        split(order[k], name, "|")
        key = name[1] SUBSEP name[2]
        if (name[1] != last) {
            last = name[1]
            print "\n" last ": " title[last]
            printf line, is_timed[last] ? "CPU in ms" : "CPU in us/request", \
                is_timed[last] ? "seconds" : "requests/s", "Argosy is x times", "target", \
                "client", "broker", "worker", "server", "conns", ""
        }
        target = ""
        if (key in wanted && ratio[key] != "")
            target = verdict(median(ratio[key]) >= wanted[key], ">= " wanted[key])
        if (name[2] == "Argosy" && name[1] in longest && speed[key] != "")
            target = verdict(median(speed[key]) <= longest[name[1]], "<= " longest[name[1]] " s")
        printf line, name[2], spread(speed[key], is_timed[last]), \
            ratio[key] == "" ? "" : spread(ratio[key]), target, cpu_of(key, 4), cpu_of(key, 5), \
            cpu_of(key, 6), cpu_of(key, 7), sprintf("%.0f", median(connections[key])), \
            key in failed ? "  FAILED in round " failed[key] : ""
        if (name[1] in most_memory && name[2] ~ /^Argosy/ && grown[key] != "")
            printf "  worker's peak memory grew by %s MiB: %s\n", spread(grown[key]), \
                verdict(median(grown[key]) <= most_memory[name[1]], "<= " most_memory[name[1]])
    }
}
