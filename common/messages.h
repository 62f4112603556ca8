/* messages.h - every message of the protocol, in one table; doc/protocol.md says the rest.
 *
 * X(number, NAME, name, senders, meaning). Numbers are part of the protocol: never reuse one.
 * Senders: C client, W worker, B broker.
 */
#ifndef AG_MESSAGES_H
#define AG_MESSAGES_H

#define AG_MESSAGES(X)                                                                             \
    X(1, HELLO, hello, "CW", "opens or re-opens a session")                                        \
    X(2, WELCOME, welcome, "B", "the session stands; the limits and the heartbeat")                \
    X(3, REJECT, reject, "B", "a message was refused, and why")                                    \
    X(4, PING, ping, "CWB", "are you there")                                                       \
    X(5, PONG, pong, "CWB", "I am")                                                                \
    X(6, BYE, bye, "CWB", "the session ends on purpose")                                           \
    X(10, CREDIT, credit, "W", "how many jobs of each kind the worker is willing to hold")         \
    X(11, JOBS, jobs, "B", "attempts to run")                                                      \
    X(12, RESULTS, results, "W", "how attempts ended")                                             \
    X(13, RECORDED, recorded, "B", "these results are recorded; forget them")                      \
    X(14, STOP, stop, "B", "end these attempts and confirm")                                       \
    X(15, RECALL, recall, "B", "hand back those of these attempts that have not begun")            \
    X(16, DRAIN, drain, "B", "take no more jobs, hand back what has not begun, and leave")         \
    X(17, PROGRESS, progress, "W", "how far attempts are, and what they have made so far")         \
    X(20, SUBMIT, submit, "C", "groups and jobs to accept")                                        \
    X(21, ACCEPTED, accepted, "B", "what became of a SUBMIT")                                      \
    X(22, WATCH, watch, "C", "follow a group or a job from a cursor")                              \
    X(23, EVENTS, events, "B", "ends of jobs, in the order in which they happened")                \
    X(24, MORE, more, "C", "events up to here are taken; send so many more")                       \
    X(25, CANCEL, cancel, "C", "stop jobs and groups")                                             \
    X(26, SEAL, seal, "C", "no more jobs will join this group")                                    \
    X(27, NEWS, news, "B", "progress and partial results of what a client watches")                \
    X(30, QUERY, query, "C", "a question for people's tools")                                      \
    X(31, ANSWER, answer, "B", "what became of a CANCEL, SEAL, QUERY or CONTROL")                  \
    X(32, CONTROL, control, "C", "an order of people's tools: pause, drain, retry, schedule...")

enum ag_message {
#define X(number, NAME, name, senders, meaning) AG_##NAME = (number),
    AG_MESSAGES(X)
#undef X
};

#endif
