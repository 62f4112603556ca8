# What the tables share: how far a list of numbers spreads.

# Sorts what split() made of a list into `sorted`; returns how many there are.
function sort(list,    n, i, j, x) {
    n = split(list, sorted, " ")
    for (i = 2; i <= n; i++) {
        x = sorted[i] + 0
        for (j = i - 1; j > 0 && sorted[j] + 0 > x; j--)
            sorted[j + 1] = sorted[j]
        sorted[j + 1] = x
    }
    return n
}

function median(list,    n) {
    n = sort(list)
    return n == 0 ? 0 : n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}
