// CUDET_API marks what the shared library exports; everything else has hidden visibility.
#pragma once

#if defined(CUDET_STATIC)
#define CUDET_API
#elif defined(_WIN32)
#if defined(CUDET_BUILDING)
#define CUDET_API __declspec(dllexport)
#else
#define CUDET_API __declspec(dllimport)
#endif
#else
#define CUDET_API __attribute__((visibility("default")))
#endif
