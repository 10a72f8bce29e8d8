
#include "pgcore/scan.hpp"
#include "pgcore/ratios.hpp"
#include <cmath>
#include <algorithm>
#include <vector>
namespace pgcore::scan {
template <class T> double at(const Coefficient<T>& c, Index i) { return c.each.empty() ? c.all : (double)c.each.data()[i]; }
template <class T> struct V { Rows<const T> r; const Segments<T>& s;
  Index N() const { return r.width(); } Index R() const { return r.num_rows(); }
  bool end(Index t, Index n) const { return t == R() - 1 || (!s.ends.empty() && reinterpret_cast<const unsigned char*>(s.ends.data())[t * N() + n]); }
  double boot(Index t, Index n) const { if (t == R() - 1) return s.last_bootstrap.empty() ? 0 : s.last_bootstrap[n]; return s.bootstrap.empty() ? 0 : (double)s.bootstrap.data()[t * N() + n]; } };
template <class T> void affine_scan(Rows<const T> x, Coefficient<T> c, const Segments<T>& s, Order order, Rows<T> out) {
  V<T> v{x, s};
  for (Index n = 0; n < v.N(); ++n) { double y = 0;
    if (order == Order::backward) for (Index t = v.R() - 1; t >= 0; --t) { Index i = t * v.N() + n; y = x.data()[i] + at(c, i) * (v.end(t, n) ? v.boot(t, n) : y); out.data()[i] = (T)y; }
    else for (Index t = 0; t < v.R(); ++t) { Index i = t * v.N() + n; const bool first = t == 0 || v.end(t - 1, n); y = x.data()[i] + (first ? at(c,i)*0.0 : at(c, i) * y); out.data()[i] = (T)y; } }
}
template <class T> void reward_to_go(Rows<const T> r, const Segments<T>& s, Coefficient<T> g, Rows<T> out) {
  if (g.each.empty()) return reward_to_go(r, s, g.all, out);
  affine_scan(r, g, s, Order::backward, out); }
template <class T> void n_step_return(Rows<const T> r, Rows<const T> v, const Segments<T>& s, Coefficient<T> g, Index n, Rows<T> out) {
  V<T> w{r, s};
  for (Index c = 0; c < w.N(); ++c) for (Index t = 0; t < w.R(); ++t) {
    Index last = t; while (last < t + n - 1 && !w.end(last, c)) ++last;
    double y = w.end(last, c) ? w.boot(last, c) : (double)v.data()[(last + 1) * w.N() + c];
    for (Index k = last; k >= t; --k) y = r.data()[k * w.N() + c] + at(g, k * w.N() + c) * y;
    out.data()[t * w.N() + c] = (T)y; } }
template <class T> void gae(Rows<const T> r, Rows<const T> v, Rows<const T> next, const Segments<T>& s, Coefficient<T> g, Coefficient<T> l, Rows<T> a, Rows<T> tg) {
  if (g.each.empty() && l.each.empty() && next.empty()) return gae(r, v, s, g.all, l.all, a, tg);
  V<T> w{r, s};
  for (Index n = 0; n < w.N(); ++n) { double y = 0; for (Index t = w.R() - 1; t >= 0; --t) { Index i = t * w.N() + n; bool e = w.end(t, n);
    double nv = !next.empty() ? (double)next.data()[i] : e ? w.boot(t, n) : (double)v.data()[i + w.N()];
    y = r.data()[i] + at(g, i) * nv - v.data()[i] + (e ? 0.0 : at(g, i) * at(l, i) * y); a.data()[i] = (T)y; tg.data()[i] = (T)(y + v.data()[i]); } } }
template <class T> void vtrace(Rows<const T> r, Rows<const T> v, Rows<const T> lr, Rows<const T> next, const Segments<T>& s, const VtraceOptions<T>& o, Rows<T> a, Rows<T> tg) {
  if (o.gamma.each.empty() && o.lam.each.empty() && o.lam.all == 1 && next.empty() && o.pg_rho_clip == o.rho_clip) return vtrace(r, v, lr, s, o.gamma.all, o.rho_clip, o.c_clip, a, tg);
  V<T> w{r, s};
  for (Index n = 0; n < w.N(); ++n) { double y = 0; for (Index t = w.R() - 1; t >= 0; --t) { Index i = t * w.N() + n; bool e = w.end(t, n);
    double rho = std::exp((double)lr.data()[i]), vv = v.data()[i], g = at(o.gamma, i);
    double nv = !next.empty() ? (double)next.data()[i] : e ? w.boot(t, n) : (double)v.data()[i + w.N()];
    double d = r.data()[i] + g * nv - vv;
    double vsn = e ? nv : (double)v.data()[i + w.N()] + y;
    a.data()[i] = (T)(std::min(o.pg_rho_clip, rho) * (r.data()[i] + g * vsn - vv));
    y = std::min(o.rho_clip, rho) * d + (e ? 0.0 : g * at(o.lam, i) * std::min(o.c_clip, rho) * y);
    tg.data()[i] = (T)(vv + y); } } }
#define I(T) template void affine_scan(Rows<const T>, Coefficient<T>, const Segments<T>&, Order, Rows<T>); \
template void reward_to_go(Rows<const T>, const Segments<T>&, Coefficient<T>, Rows<T>); \
template void n_step_return(Rows<const T>, Rows<const T>, const Segments<T>&, Coefficient<T>, Index, Rows<T>); \
template void gae(Rows<const T>, Rows<const T>, Rows<const T>, const Segments<T>&, Coefficient<T>, Coefficient<T>, Rows<T>, Rows<T>); \
template void vtrace(Rows<const T>, Rows<const T>, Rows<const T>, Rows<const T>, const Segments<T>&, const VtraceOptions<T>&, Rows<T>, Rows<T>);
I(float) I(double)
}
namespace pgcore::ratios {
template <class T> void weighted_reward_to_go(Rows<const T> r, Rows<const T> l, const scan::Segments<T>& s, scan::Coefficient<T> g, Rows<T> out) {
  weighted_reward_to_go(r, l, s, g.all, out); }
template void weighted_reward_to_go(Rows<const float>, Rows<const float>, const scan::Segments<float>&, scan::Coefficient<float>, Rows<float>);
template void weighted_reward_to_go(Rows<const double>, Rows<const double>, const scan::Segments<double>&, scan::Coefficient<double>, Rows<double>);
}
