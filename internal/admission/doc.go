// Package admission decides whether a write may happen: the tuples fit the
// schema, the preconditions hold, nobody gets a second role where one is
// allowed, and every multiplicity is kept.
//
// It promises that a decision depends on nothing but the schema, the state shown
// by the Reader, and the write; and that a decision is a value, the net change,
// which can be stored, replicated and replayed without judging again. It reads
// no clock and writes nothing. The order of judging, and so the reason that a
// refused write gets, is that of the language: everything of one reason before
// anything of the next. Start reading at Admit.
package admission
