// Package lsp serves the schema language to editors: diagnostics, hover, go to
// definition, references, symbols, completion and formatting, by the Language
// Server Protocol over a pair of streams.
//
// It promises this. Nothing but frames of the protocol is ever written to the
// output. Every request is answered, in the order of their arrival, and one that
// was cancelled while it waited is answered as cancelled. Diagnostics are what
// schema.Compile says, no more and no less. Everything else is read off the
// syntax tree, which exists for any text: so names can be followed in a text that
// is wrong somewhere else, and in parts of the language that the compiler of this
// release refuses.
//
// There is no rename. A name of a schema is also in the stored tuples, in test
// files and in the programs that ask, none of which are seen from here: a rename
// that changed the schema alone would look done, and orphan what is stored.
//
// One goroutine reads frames (queue.go), one answers them (server.go). Start
// reading at Serve. A source is one text with its tree and its names (source.go,
// index.go); a world is a source with all that it can see by its imports, and
// says what a name means (world.go). The rest is a file for each thing an editor
// can ask. The frames and the messages are our own: what is needed of JSON-RPC is
// less than what a library would have to be given (bounds on headers and bodies,
// no calls to the client), and the one that has the protocol's types brings two
// hundred modules with it.
package lsp
