// What each family adds to the module; one function per binding file.
#pragma once

#include <pybind11/pybind11.h>

namespace pgcore::bindings {

void bind_adam(pybind11::module_& m);
void bind_categorical(pybind11::module_& m);
void bind_cg(pybind11::module_& m);
void bind_fisher(pybind11::module_& m);
void bind_gaussian(pybind11::module_& m);
void bind_inputs(pybind11::module_& m);
void bind_kronecker(pybind11::module_& m);
void bind_mlp(pybind11::module_& m);
void bind_policy(pybind11::module_& m);
void bind_surrogate_ascent(pybind11::module_& m);
void bind_ratios(pybind11::module_& m);
void bind_scan(pybind11::module_& m);
void bind_value_fit(pybind11::module_& m);

}  // namespace pgcore::bindings
