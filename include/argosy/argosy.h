/* argosy.h - everything that libargosy offers. */
#ifndef ARGOSY_ARGOSY_H
#define ARGOSY_ARGOSY_H

#include <argosy/client.h>
#include <argosy/error.h>
#include <argosy/report.h>
#include <argosy/version.h>

#endif
