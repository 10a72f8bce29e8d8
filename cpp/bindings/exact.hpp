// Calls of exact arguments, wholly inside the binding.
//
// Python's coercion of array-likes takes longer than a kernel does on a small array. So kernels take their
// arguments as the user passed them. If all are exact (C-contiguous arrays of one dtype, shapes that fit,
// Python numbers), the kernel computes and returns new arrays or `out`. If one is not, it returns None and
// has done nothing: Python then coerces the arguments, or refuses them with a message, and calls again.
//
// Functions follow CPython's own convention: with eight arguments pybind11's dispatcher takes 0.2 µs longer.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <string>

#include "arrays.hpp"

namespace pgcore::bindings {

// ---- arrays ----

// At most three lengths.
struct Shape {
  int ndim = 0;
  std::array<Index, 3> length{};

  Shape() = default;
  template <class... Rest>
  explicit Shape(Index first, Rest... rest)
      : ndim(1 + sizeof...(rest)), length{first, static_cast<Index>(rest)...} {}
  Index size() const {
    Index product = 1;
    for (std::size_t k = 0; k < static_cast<std::size_t>(ndim); ++k) product *= length[k];
    return product;
  }
  bool operator==(const Shape& other) const { return ndim == other.ndim && length == other.length; }
};

// NumPy's description of a dtype; most arrays share it.
template <class S>
PyObject* dtype_of() {
  static PyObject* const dtype = py::dtype::of<S>().release().ptr();
  return dtype;
}

// An object, if it is an array (of no subclass) that is C-contiguous and aligned, else nothing.
class ExactArray {
 public:
  explicit ExactArray(PyObject* object) {
    using py::detail::npy_api;
    constexpr int needed = npy_api::NPY_ARRAY_C_CONTIGUOUS_ | npy_api::NPY_ARRAY_ALIGNED_;
    if (Py_TYPE(object) != npy_api::get().PyArray_Type_) return;
    const auto* array = py::detail::array_proxy(object);
    if ((array->flags & needed) == needed && array->nd <= 3) array_ = array;
  }
  explicit operator bool() const { return array_ != nullptr; }
  template <class S>
  bool holds() const {
    return array_ && (array_->descr == dtype_of<S>() || is_equal(array_->descr, dtype_of<S>()));
  }
  bool writeable() const { return array_->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_; }
  Shape shape() const {
    Shape shape;
    shape.ndim = array_->nd;
    for (int k = 0; k < array_->nd; ++k) shape.length[static_cast<std::size_t>(k)] = array_->dimensions[k];
    return shape;
  }
  template <class S>
  S* data() const {
    return reinterpret_cast<S*>(array_->data);
  }

 private:
  // A copy of a description describes the same.
  static bool is_equal(PyObject* one, PyObject* other) {
    const auto *a = py::detail::array_descriptor_proxy(one), *b = py::detail::array_descriptor_proxy(other);
    return a->type_num == b->type_num && a->byteorder == b->byteorder;
  }

  const py::detail::PyArray_Proxy* array_ = nullptr;
};

template <class S>
py::object new_array(const Shape& shape) {
  auto& numpy = py::detail::npy_api::get();
  PyObject* dtype = dtype_of<S>();
  Py_INCREF(dtype);  // the new array owns one reference
  PyObject* array = numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, dtype, shape.ndim, shape.length.data(),
                                                nullptr, nullptr, 0, nullptr);
  if (!array) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(array);
}

inline py::object pair(const py::object& first, const py::object& second) {
  PyObject* tuple = PyTuple_Pack(2, first.ptr(), second.ptr());
  if (!tuple) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(tuple);
}

// ---- one call ----

// The arguments of a call whose arrays hold T. One that is not exact makes the call inexact; what is read
// from then on means nothing.
template <class T>
class Exact {
 public:
  explicit Exact(PyObject* const* arguments) : arguments_(arguments) {}

  explicit operator bool() const { return exact_; }
  // Argument i is a tuple of `count` items: from now on they are arguments `unfolded`, `unfolded` + 1, …
  static constexpr int unfolded = 8;
  void unfold(int i, Py_ssize_t count) {
    require(PyTuple_CheckExact(arguments_[i]) && PyTuple_GET_SIZE(arguments_[i]) == count);
    if (exact_) items_ = &PyTuple_GET_ITEM(arguments_[i], 0);
  }
  py::handle object(int i) const { return argument(i); }
  bool given(int i) const { return exact_ && argument(i) != Py_None; }
  bool is_array(int i) const { return exact_ && static_cast<bool>(ExactArray(argument(i))); }
  template <class S>
  bool holds(int i) const {
    return exact_ && ExactArray(argument(i)).template holds<S>();
  }
  void require(bool condition) { exact_ = exact_ && condition; }

  // The shape of an array with `least` to `most` dimensions.
  Shape shape(int i, int least, int most) {
    if (!exact_) return {};
    const ExactArray array(argument(i));
    require(static_cast<bool>(array));
    const Shape shape = exact_ ? array.shape() : Shape();
    require(least <= shape.ndim && shape.ndim <= most);
    return shape;
  }
  // Memory of an input of this shape.
  template <class S = T>
  const S* input(int i, const Shape& shape) {
    if (!exact_) return nullptr;
    const ExactArray array(argument(i));
    require(array.template holds<S>() && array.shape() == shape);
    if (!exact_) return nullptr;
    note(array.template data<S>(), shape);
    return array.template data<S>();
  }
  // The same as views; an inexact call has none.
  template <class S = T>
  Vec<const S> vec(int i, Index size) {
    const S* data = input<S>(i, Shape(size));
    return {data, exact_ ? size : 0};
  }
  template <class S = T>
  Rows<const S> rows(int i, const Shape& shape) {
    const S* data = input<S>(i, shape);
    return exact_ ? Rows<const S>{data, shape.length[0], shape.length[1]} : Rows<const S>{};
  }
  // A finite number.
  double number(int i) {
    const double value = any_number(i);
    require(std::isfinite(value));
    return value;
  }
  // A limit of at least 0; None is no limit.
  double limit(int i) {
    const double value = given(i) ? any_number(i) : std::numeric_limits<double>::infinity();
    require(value >= 0);
    return value;
  }
  // An integer of at least `minimum`.
  Index integer(int i, Index minimum) {
    require(exact_ && PyLong_CheckExact(argument(i)));
    if (!exact_) return minimum;
    const Index value = PyLong_AsSsize_t(argument(i));
    if (value == -1 && PyErr_Occurred()) {  // too large
      PyErr_Clear();
      require(false);
    }
    require(value >= minimum);
    return value;
  }
  // A Python function, or None.
  py::object function(int i) {
    if (!given(i)) return py::none();
    require(PyCallable_Check(argument(i)));
    return py::reinterpret_borrow<py::object>(argument(i));
  }
  // A character string's place among the choices.
  template <std::size_t N>
  int choice(int i, const std::array<const char*, N>& choices) {
    require(exact_ && PyUnicode_CheckExact(argument(i)));
    for (std::size_t k = 0; exact_ && k < N; ++k) {
      if (PyUnicode_CompareWithASCIIString(argument(i), choices[k]) == 0) return static_cast<int>(k);
    }
    require(false);
    return 0;
  }

  // A new array for a result of this shape.
  template <class S = T>
  py::object result(const Shape& shape) {
    return exact_ ? new_array<S>(shape) : py::none();
  }
  // The same, or the one that argument i is. Read inputs first: an output that shares memory with one of them
  // is not exact.
  template <class S = T>
  py::object result(int i, const Shape& shape) {
    if (!given(i)) return result<S>(shape);
    return accept<S>(argument(i), shape) ? py::reinterpret_borrow<py::object>(argument(i)) : py::none();
  }
  // The same for two results, as a tuple.
  py::object results(int i, const Shape& first, const Shape& second) {
    if (!exact_) return py::none();
    if (given(i)) {
      PyObject* const out = argument(i);
      require(PyTuple_CheckExact(out) && PyTuple_GET_SIZE(out) == 2);
      const bool fits =
          exact_ && accept(PyTuple_GET_ITEM(out, 0), first) && accept(PyTuple_GET_ITEM(out, 1), second);
      return fits ? py::reinterpret_borrow<py::object>(out) : py::none();
    }
    return pair(new_array<T>(first), new_array<T>(second));
  }
  // An array that is changed in place; it shares memory with none that was read before.
  Vec<T> changed(int i, Index size) {
    const bool fits = exact_ && accept(argument(i), Shape(size));
    return fits ? Vec<T>{ExactArray(argument(i)).template data<T>(), size} : Vec<T>{};
  }
  template <class S = T>
  static S* memory(const py::object& array) {
    return ExactArray(array.ptr()).data<S>();
  }
  static T* memory(const py::object& tuple, int k) {
    return ExactArray(PyTuple_GET_ITEM(tuple.ptr(), k)).data<T>();
  }

 private:
  PyObject* argument(int i) const { return i < unfolded ? arguments_[i] : items_[i - unfolded]; }

  struct Range {
    std::uintptr_t begin, end;
  };
  static constexpr std::size_t max_arrays = 12;

  double any_number(int i) {
    if (!exact_) return 0;
    PyObject* const object = argument(i);
    if (PyFloat_Check(object)) return PyFloat_AS_DOUBLE(object);
    require(PyLong_CheckExact(object));
    if (!exact_) return 0;
    const double value = PyLong_AsDouble(object);
    if (value == -1 && PyErr_Occurred()) {  // too large
      PyErr_Clear();
      require(false);
    }
    return value;
  }
  Range range_of(const void* data, const Shape& shape, std::size_t itemsize) const {
    const auto begin = reinterpret_cast<std::uintptr_t>(data);
    return {begin, begin + static_cast<std::size_t>(shape.size()) * itemsize};
  }
  template <class S>
  void note(const S* data, const Shape& shape) {
    arrays_[num_arrays_++] = range_of(data, shape, sizeof(S));
  }
  template <class S = T>
  bool accept(PyObject* object, const Shape& shape) {
    const ExactArray array(object);
    require(array.template holds<S>() && array.writeable() && array.shape() == shape);
    if (!exact_) return false;
    const Range own = range_of(array.template data<S>(), shape, sizeof(S));
    for (std::size_t k = 0; k < num_arrays_; ++k) {
      require(own.end <= arrays_[k].begin || arrays_[k].end <= own.begin);
    }
    note(array.template data<S>(), shape);
    return exact_;
  }

  PyObject* const* arguments_;
  PyObject* const* items_ = nullptr;
  bool exact_ = true;
  std::size_t num_arrays_ = 0;
  std::array<Range, max_arrays> arrays_;  // of this call, so far
};

// Runs f, without the interpreter's lock if it takes long: about ten times what giving up the lock takes.
template <class F>
void compute(Index num_scalars, F&& f) {
  if (num_scalars < 4096) return f();
  const release_gil guard;
  f();
}

// How many scalars take as long as a network's pass over rows.
inline Index pass_work(Index num_rows, Index num_params) {
  return num_rows * num_params / 8;
}

// Rows of raw observations, float or double whatever the pass computes in. Their scaling is that of this
// call: changes of the normaliser during the call have no effect on it.
template <class T>
Inputs<T> inputs(Exact<T>& call, int obs, int scaling, Index width) {
  const Shape shape(call.shape(obs, 2, 2).length[0], width);
  typename Inputs<T>::Scaling statistics;
  if (call.given(scaling)) {
    py::detail::make_caster<std::shared_ptr<InputScaling>> caster;
    call.require(caster.load(call.object(scaling), false));
    if (call) statistics = py::detail::cast_op<std::shared_ptr<InputScaling>>(caster);
  }
  if (statistics && static_cast<Index>(statistics->shift.size()) != width) {
    throw py::value_error("normalizer: expected one for observations of length " + std::to_string(width) +
                          ", got length " + std::to_string(statistics->shift.size()));
  }
  const bool is_float = call.template holds<float>(obs);
  const auto of_float = is_float ? call.template rows<float>(obs, shape) : Rows<const float>{};
  const auto of_double = is_float ? Rows<const double>{} : call.template rows<double>(obs, shape);
  if (!call) statistics = nullptr;
  if (is_float) return {of_float, std::move(statistics)};
  return {of_double, std::move(statistics)};
}

// ---- functions of a module ----

constexpr int count_of(const char* arguments) {
  int count = 1;
  for (; *arguments; ++arguments) count += *arguments == ',';
  return count;
}

// What `f` returns, or its exception as Python's.
template <class F>
PyObject* returned(F&& f) noexcept {
  try {
    return f().release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

inline void check_count(Py_ssize_t count, int expected) {
  if (count != expected) {
    throw py::type_error("arguments: expected " + std::to_string(expected) + ", got " +
                         std::to_string(count));
  }
}

// What CPython calls for arrays of either dtype.
template <class Kernel>
PyObject* call_kernel(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
  return returned([=]() -> py::object {
    check_count(count, count_of(Kernel::arguments));
    Exact<float> in_float(arguments);
    if (py::object result = Kernel::template call<float>(in_float); in_float) return result;
    Exact<double> in_double(arguments);
    if (py::object result = Kernel::template call<double>(in_double); in_double) return result;
    return py::none();
  });
}

// CPython keeps functions of several conventions behind one type of pointer.
inline PyCFunction as_method(PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

// Adds a kernel to a module. `Kernel` is a class with `name`, `arguments` (text, separated by commas) and
// `call<T>(Exact<T>&)`, which returns the result if the call is exact.
template <class Kernel>
void add_kernel(py::module_& m) {
  static const std::string doc = std::string(Kernel::name) + "(" + Kernel::arguments + ", /)\n--\n\n";
  static PyMethodDef method{Kernel::name, as_method(&call_kernel<Kernel>), METH_FASTCALL, doc.c_str()};
  PyObject* function = PyCFunction_NewEx(&method, nullptr, m.attr("__name__").ptr());
  if (!function) throw py::error_already_set();
  m.add_object(Kernel::name, py::reinterpret_steal<py::object>(function));
}

// ---- methods of a class ----

template <class Pointer>
struct MethodOf;
template <class C, class Scalar>
struct MethodOf<py::object (C::*)(Exact<Scalar>&)> {
  using Class = C;
  using T = Scalar;
};

// What CPython calls, with an object of this class or of one derived from it.
template <auto method>
PyObject* call_method(PyObject* self, PyObject* const* arguments, Py_ssize_t count, int expected) {
  return returned([=]() -> py::object {
    check_count(count, expected);
    const auto* instance = reinterpret_cast<py::detail::instance*>(self);
    void* const object = instance->simple_layout ? instance->simple_value_holder[0] : nullptr;
    if (!object) throw py::type_error("self: expected an object that its constructor has made");
    Exact<typename MethodOf<decltype(method)>::T> call(arguments);
    py::object result = (static_cast<typename MethodOf<decltype(method)>::Class*>(object)->*method)(call);
    return call ? result : py::none();
  });
}

// Adds a method that takes the arguments of one call and returns the result if the call is exact.
template <auto method>
void add_method(py::handle c, const char* name, const char* arguments) {
  static int count;
  static std::string doc;
  static PyMethodDef definition;
  count = count_of(arguments);
  doc = std::string(name) + "($self, " + arguments + ", /)\n--\n\n";
  const auto call = [](PyObject* self, PyObject* const* given, Py_ssize_t number) {
    return call_method<method>(self, given, number, count);
  };
  definition = {name, as_method(call), METH_FASTCALL, doc.c_str()};
  PyObject* descriptor = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(c.ptr()), &definition);
  if (!descriptor) throw py::error_already_set();
  py::setattr(c, name, py::reinterpret_steal<py::object>(descriptor));
}

}  // namespace pgcore::bindings
