#include "pgcore/cg.hpp"

#include "exact.hpp"
#include "families.hpp"
#include "python_product.hpp"

namespace pgcore::bindings {
namespace {

// Operators and preconditioners are matrices, or functions from vectors to exact vectors. The tolerances come
// as one tuple, so that eight arguments are enough.
struct ConjugateGradient {
  static constexpr auto name = "conjugate_gradient",
                        arguments =
                            "operator, b, x0, tolerances, max_iter, damping, preconditioner, callback";

  template <class T>
  static py::object call(Exact<T>& call) {
    const Shape shape = call.shape(1, 1, 1);
    const Index n = shape.length[0];
    const auto b = call.vec(1, n);
    const T* start = call.given(2) ? call.input(2, shape) : nullptr;
    call.unfold(3, 2);
    CgOptions options;
    options.rtol = not_negative(call, Exact<T>::unfolded);
    options.atol = not_negative(call, Exact<T>::unfolded + 1);
    options.max_iter = call.given(4) ? call.integer(4, 0) : 10 * n;
    options.damping = not_negative(call, 5);
    const bool is_matrix = call.is_array(0);
    const auto matrix = is_matrix ? call.rows(0, Shape(n, n)) : Rows<const T>{};
    const Product<T> multiply = is_matrix ? matrix_product<T>(matrix) : product(call, 0, "operator");
    const Product<T> precondition = product(call, 6, "preconditioner");
    const CgObserver<T> observe = observer<T>(call.function(7));
    if (!call) return py::none();
    const py::object x = new_array<T>(shape);
    const Vec<T> out{call.memory(x), n};
    if (start) std::copy_n(start, n, out.data());
    CgReport report{};
    const auto solve = [&] {
      report = conjugate_gradient(multiply, b, out, start != nullptr, options, precondition, observe);
    };
    if (!is_matrix || precondition || observe) {
      solve();  // calls Python functions
    } else {
      compute(n * n, solve);
    }
    return solution(x, report);
  }

 private:
  template <class T>
  static double not_negative(Exact<T>& call, int i) {
    const double value = call.number(i);
    call.require(value >= 0);
    return value;
  }
  template <class T>
  static Product<T> product(Exact<T>& call, int i, const char* name) {
    const py::object function = call.function(i);
    if (function.is_none()) return nullptr;
    return [=](Vec<const T> v, Vec<T> out) { bindings::call<T>(function, name, v, out); };
  }
};

}  // namespace

void bind_cg(py::module_& m) {
  add_kernel<ConjugateGradient>(m);
}

}  // namespace pgcore::bindings
