// Which activation function a network uses.
#pragma once

#include <stdexcept>
#include <string>

namespace pgcore {

enum class Activation { tanh, relu, gelu, identity };

inline Activation parse_activation(const std::string& name) {
  if (name == "tanh") return Activation::tanh;
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  if (name == "identity") return Activation::identity;
  throw std::invalid_argument("activation: expected 'tanh', 'relu', 'gelu' or 'identity', got '" + name +
                              "'");
}

}  // namespace pgcore
