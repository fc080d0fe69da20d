// Package syntax reads and prints the schema language: it scans, parses and
// formats a text, and knows nothing of what the text means. Whether a name
// exists, whether a multiplicity can be kept, which of two roles is higher: all
// of that is the business of internal/schema, which compiles what is read here.
//
// It promises this. Parse returns a File for any text, and never panics; it
// finds the errors of all statements in one run, one fault for each statement
// that is wrong, in source order. Every node of the tree says where it stands.
// Reading costs work linear in the text, whatever the text is. Format changes
// white space and `;` and nothing else, keeps every comment, and is done after
// one time: a formatted text is its own format.
//
// Start reading at Parse. A parser reads statements; where one is wrong it sees
// nothing but its end, until it has skipped to the next (recover.go). The
// sentences are in diagnostics.go. The printer works on the tokens that the
// parser took, each marked with its part, and not on the tree: so nothing can be
// lost that the tree does not have.
//
// # Grammar
//
// In the notation of Go's specification: | alternatives, [ ] once or not at all,
// { } any number of times. Words in quotes are words of the language only in the
// places where they stand here; everywhere else they are names, so that a
// relation may be called `of`, `roles` or `granted`.
//
//	File        = { Statement } .
//	Statement   = Use | Import | Caveat | Partial | Definition .
//	Use         = "use" ( "roles" | "expiration" | "typechecking" | "self" | "partial" | "import" ) .
//	Import      = "import" string .                                        // use import
//	Caveat      = "caveat" path "(" [ Param { "," Param } ] ")" "{" cel "}" .
//	Param       = word ParamType .
//	ParamType   = word [ "<" ParamType { "," ParamType } ">" ] .
//	Partial     = "partial" path "{" { Member } "}" .                      // use partial
//	Definition  = "definition" path "{" { Member } "}" .
//
//	Member      = Relation | Permission | Include | Roles | Within | CreatedBy .
//	Relation    = "relation" name ":" Types [ Multiplicity ] Tail .
//	Permission  = "permission" name [ ":" path { "|" path } ] "=" Expr .
//	Include     = "..." path .                                             // use partial
//	Within      = "within" name { "," name } .                             // use roles
//	CreatedBy   = "created" "by" Expr .                                    // use roles
//	Roles       = "roles" [ "one" "per" "subject" ] [ "except" Expr ]
//	              "{" { Role | Inherit } "}" .                             // use roles
//	Role        = name [ ":" Types ] [ Multiplicity ] [ "=" Expr ] Tail .
//	Inherit     = "inherit" "from" name .
//
//	Types       = Type { "|" Type } .
//	Type        = path [ "#" name | "#" "..." | ":" "*" ] [ With ] .
//	With        = "with" path | "with" [ path "and" ] "expiration" .       // use expiration
//	Multiplicity = "[" number [ ".." ( number | "*" ) ] "]" .              // use roles
//
//	Tail        = [ "of" name ] [ "one" "per" "subject" "with" name ]
//	              [ "granted" "by" RuleExpr [ "except" "self" ] ]
//	              [ "revoked" "by" RuleExpr [ "except" "self" ] ] .        // use roles
//
//	Expr        = Intersect { "-" Intersect } .
//	Intersect   = Union { "&" Union } .
//	Union       = Operand { "+" Operand } .
//	Operand     = "(" Expr ")" | "nil" | "self" | Arrows .                 // self: use self
//	Arrows      = name { "->" name | "." ( "any" | "all" ) "(" name ")" } .
//	RuleExpr    = Expr, where "subject" "->" name is an Operand, and a lone
//	              "subject" is not .
//
//	path        = name { "/" name } .            // at most 256 bytes
//	name        = [a-z][a-z0-9_]* .              // at most 64 characters
//	word        = [A-Za-z_][A-Za-z0-9_]* .
//	number      = [0-9]+ .                       // at most 1,000,000
//	string      = '"' … '"' | "'" … "'" .        // on one line, without escapes
//	cel         = text with balanced braces, CEL's strings and comments aside, and not empty .
//
// `use` stands before the first definition, caveat or partial. Without `use self`
// the word `self` is a name, where the file declares something of that name.
//
// # Lines
//
// A statement ends with its line, or with `;`, or before the `}` that closes the
// block around it; a `}` of its own ends it, too. It goes on over the line's end
//
//   - inside parentheses and brackets,
//   - where the line ends with one of = | + & - -> : , # / . .. <
//   - where the next line starts with one of = | + & - -> { or with `granted by`,
//     `revoked by`, `except`, `of` or `one per`, each where it can be that: in a
//     roles block `of: user` begins the role that is called `of`.
//
// # Comments
//
// `// …` goes to the end of the line, `/* … */` is white space; a line's end
// inside of it ends no statement. `/** … */` before a definition, caveat,
// relation, permission, roles block or role is its doc, on lines of its own or on
// the same line; where there are several, the last is.
package syntax
