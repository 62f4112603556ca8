/* limits.h - every bound of Argosy with its default, unit and reason; nothing grows without one.
 *
 * A limit that a user may change is an option (common/options.h) whose default stands here.
 */
#ifndef AG_LIMITS_H
#define AG_LIMITS_H

/* X(NAME, value, unit, why) */
#define AG_LIMITS(X)                                                                             \
    X(MESSAGE_BYTES_MAX, 9 << 20, "bytes", "one frame; a result plus its envelope")              \
    X(MESSAGE_BYTES_FULL, 256 << 10, "bytes", "a batch is sent when it reaches this size")       \
    X(MESSAGE_ITEMS_MAX, 64, "items", "jobs, results, entries in one message; more gains little") \
    X(WIRE_DEPTH_MAX, 16, "levels", "nesting of any msgpack tree from the network")              \
    X(WIRE_OBJECTS_MAX, 65536, "objects", "an envelope; its payloads count as one each")         \
    X(BODY_OBJECTS_MAX, 4000000, "objects", "a payload, result or report when it is opened")     \
    X(PAYLOAD_BYTES_MAX, 512 << 10, "bytes", "one job's payload; larger input goes by reference") \
    X(RESULT_BYTES_MAX, 8 << 20, "bytes", "one job's result or error; larger goes to a file")    \
    X(NAME_BYTES_MAX, 64, "bytes", "names of kinds, workers, software")                          \
    X(TEXT_BYTES_MAX, 1024, "bytes", "messages for people, group names, hosts")                  \
    X(KINDS_MAX, 32, "kinds", "what one worker offers")                                          \
    X(TAGS_MAX, 32, "tags", "what one worker is marked with")                                    \
    X(SLOTS_MAX, 16384, "jobs", "what one worker may hold")                                      \
    X(RECONNECT_MS_MAX, 250, "ms", "between two tries to connect to a broker")             \
    X(RETRY_SELECTORS_MAX, 16, "selectors", "which failures are worth another attempt")          \
    X(ATTEMPTS_MAX, 100, "attempts", "retries of one job")                                       \
    X(LOST_MAX, 3, "losses", "a job that kills this many workers is a poison job")               \
    X(PRIORITIES, 10, "levels", "0 is the most urgent, 9 the least")                             \
    X(PRIORITY_DEFAULT, 5, "", "room on both sides")                                             \
    X(AFTER_MAX, 64, "ids", "what one job waits for")                                            \
    X(INPUTS_MAX, 8192, "results", "handed on to one job")                                       \
    X(INPUTS_BYTES_MAX, 7 << 20, "bytes", "results handed on to one job; fits in a message")     \
    X(NESTING_MAX, 8, "levels", "groups within groups")                                          \
    X(PERMILLE_UNKNOWN, 1001, "", "a progress whose end is not known")

enum {
#define X(name, value, unit, why) AG_##name = (value),
    AG_LIMITS(X)
#undef X
};

#endif
