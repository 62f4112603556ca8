# Lines "row|round|rate p50 cpu" -> medians with the least and the most, and the ratios to Argosy of
# the same round. Rows without fsync are compared with Argosy's memory. "row|round|failed" is a
# measurement that failed: it is told, and the others count.

function number(x) {
    return x >= 100000 ? sprintf("%.0fk", x / 1000) : x >= 1000 ? sprintf("%.1fk", x / 1000) : \
           x >= 100 ? sprintf("%.0f", x) : x >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

# "median [min-max]" of what split() made of a list.
function spread(list,    a, n, i, j, x, middle) {
    n = split(list, a, " ")
    if (n == 0)
        return "-"
    for (i = 2; i <= n; i++) {
        x = a[i] + 0
        for (j = i - 1; j > 0 && a[j] + 0 > x; j--)
            a[j + 1] = a[j]
        a[j + 1] = x
    }
    middle = n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    return number(middle) " [" number(a[1]) "-" number(a[n]) "]"
}

{
    split($3, figure, " ")
    if (!($1 in seen))
        order[++rows] = $1
    seen[$1] = 1
    if ($1 == "Argosy, SQLite" || $1 == "Argosy, memory")
        base = $3 == "failed" ? 0 : figure[1]
    if ($3 == "failed") {
        failed[$1] = failed[$1] (failed[$1] == "" ? "" : ", ") $2
        next
    }
    rates[$1] = rates[$1] " " figure[1]
    alone[$1] = alone[$1] " " figure[2]
    cpu[$1] = cpu[$1] " " figure[3]
    if ($1 != "disk" && base > 0)
        ratio[$1] = ratio[$1] " " base / figure[1]
}

END {
    line = "%-22s  %-22s  %-20s  %-20s  %s\n"
    print "disk      " spread(rates["disk"]) " times fdatasync of 4 KiB a second" \
        ("disk" in failed ? "  FAILED in round " failed["disk"] : "")
    for (i = 1; i <= rows; i++) {
        row = order[i]
        if (row == "disk")
            continue
        if (row ~ /^Argosy/) {
            print ""
            printf line, row ~ /SQLite/ ? "survives a power cut" : "does not", "jobs/s", \
                "Argosy is x times", "one alone, p50 ms", "server CPU us/job"
        }
        printf line, row, spread(rates[row]), row ~ /^Argosy/ ? "" : spread(ratio[row]), \
            spread(alone[row]), spread(cpu[row]) \
            (row in failed ? "  FAILED in round " failed[row] : "")
    }
}
