// Package elsewhere reads the files of other systems, and says them in pemba's
// words: a schema, tuples, and tests about them. It knows SpiceDB's validation
// files, which pemba's test files contain, and OpenFGA's stores: `.fga.yaml` with
// the models and tuples that they name.
//
// It promises three things. What a conversion says is what the file said: what
// pemba has no equal for is left out, never replaced by something near. Nothing is
// left out in silence: each such thing is a fault with its file, line and reason.
// And what is called otherwise here is told as well, since applications know the
// old name.
//
// It writes nothing and asks no server; files are read by whom the caller names.
// Start reading at Read. Of OpenFGA, a model is read from its language
// (openfga_parse.go) or from JSON (openfga_json.go) into one tree
// (openfga_model.go), which openfga_schema.go writes down as a schema; which of its
// relations become a ladder of roles is said in openfga_ladder.go.
package elsewhere
