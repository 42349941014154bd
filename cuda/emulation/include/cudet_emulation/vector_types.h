// CUDA's built-in vector types with the sizes and alignments of the CUDA C++ Programming Guide.
#pragma once

// One line a type: name, element, alignment in bytes at widths 1, 2, 3 and 4.
#define CUDET_EMULATION_VECTOR_TYPES(define)                                      \
  define(char, signed char, 1, 2, 1, 4) define(uchar, unsigned char, 1, 2, 1, 4)  \
      define(short, short, 2, 4, 2, 8) define(ushort, unsigned short, 2, 4, 2, 8) \
          define(int, int, 4, 8, 4, 16) define(uint, unsigned int, 4, 8, 4, 16)   \
              define(float, float, 4, 8, 4, 16)

// Eight-byte elements have widths 1 and 2 only: CUDA 13 gave the wider ones new names.
#define CUDET_EMULATION_WIDE_VECTOR_TYPES(define) \
  define(longlong, long long) define(ulonglong, unsigned long long) define(double, double)

#define CUDET_EMULATION_VECTOR_1_2(name, element, alignment_1, alignment_2) \
  struct alignas(alignment_1) name##1 {                                     \
    element x;                                                              \
  };                                                                        \
  struct alignas(alignment_2) name##2 {                                     \
    element x, y;                                                           \
  };                                                                        \
  constexpr name##1 make_##name##1(element x) {                             \
    return {x};                                                             \
  }                                                                         \
  constexpr name##2 make_##name##2(element x, element y) {                  \
    return {x, y};                                                          \
  }

#define CUDET_EMULATION_VECTOR(name, element, alignment_1, alignment_2, alignment_3, alignment_4) \
  CUDET_EMULATION_VECTOR_1_2(name, element, alignment_1, alignment_2)                             \
  struct alignas(alignment_3) name##3 {                                                           \
    element x, y, z;                                                                              \
  };                                                                                              \
  struct alignas(alignment_4) name##4 {                                                           \
    element x, y, z, w;                                                                           \
  };                                                                                              \
  constexpr name##3 make_##name##3(element x, element y, element z) {                             \
    return {x, y, z};                                                                             \
  }                                                                                               \
  constexpr name##4 make_##name##4(element x, element y, element z, element w) {                  \
    return {x, y, z, w};                                                                          \
  }

#define CUDET_EMULATION_WIDE_VECTOR(name, element) CUDET_EMULATION_VECTOR_1_2(name, element, 8, 16)

CUDET_EMULATION_VECTOR_TYPES(CUDET_EMULATION_VECTOR)
CUDET_EMULATION_WIDE_VECTOR_TYPES(CUDET_EMULATION_WIDE_VECTOR)

struct dim3 {
  unsigned int x, y, z;

  constexpr dim3(unsigned int x_ = 1, unsigned int y_ = 1, unsigned int z_ = 1)
      : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 extent) : x(extent.x), y(extent.y), z(extent.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

#undef CUDET_EMULATION_VECTOR_TYPES
#undef CUDET_EMULATION_WIDE_VECTOR_TYPES
#undef CUDET_EMULATION_VECTOR_1_2
#undef CUDET_EMULATION_VECTOR
#undef CUDET_EMULATION_WIDE_VECTOR
