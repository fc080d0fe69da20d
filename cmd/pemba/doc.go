// Command pemba is the permission service and its command line, in one binary.
//
// `pemba serve` is the only place where the rooms are wired; `test`, `schema
// check` and `schema format` work on files alone, and `lsp` on what an editor has
// open, all without a server. Every other
// command is a gRPC client of the generated code and knows nothing that another
// client could not know.
//
// A file is a subcommand: what it takes, what it does, what it prints. What
// they share is in app.go (streams, answers), client.go (the connection),
// failure.go (errors and exit codes) and reason.go (explanations as text).
package main
