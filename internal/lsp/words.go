package lsp

import "strings"

// featureText is a line for each feature that `use` may name.
var featureText = map[string]string{
	"roles":        "use roles: roles in an order, multiplicities, containment, and rules on who may write",
	"expiration":   "use expiration: tuples that end at a time, by `with expiration`",
	"typechecking": "use typechecking: permissions may say which types of subjects can hold them",
	"self":         "use self: in an expression `self` is the object itself",
	"partial":      "use partial: members that several definitions share, by `partial` and `...`",
	"import":       "use import: the definitions of other files, by `import \"PATH\"`",
}

// A phrase is a word of the language that means something of its own only beside
// another one. The longer ones stand first.
type phrase struct {
	words string
	text  string
}

// phrases are the words of the language, each with its line. A word that stands
// in several is told by the words around it.
var phrases = []phrase{
	{"one per subject with", "one per subject with REL: for each object that REL points to, a subject has at most one tuple among this relation on all objects linked to it, and that object's own roles where those are one per subject"},
	{"one per subject", "one per subject: a subject has at most one stored role of this block on an object"},
	{"except self", "except self: refused where the tuple's subject is the actor"},
	{"granted by", "granted by EXPR: to add a tuple, the actor must hold EXPR on its object"},
	{"revoked by", "revoked by EXPR: to take a tuple away, the actor must hold EXPR on its object; left out, it is the same as granted by"},
	{"created by", "created by EXPR: what an actor must hold to create an object of this type; without it no actor creates one"},
	{"inherit from", "inherit from REL: adds to every role of this block REL->role, where a definition behind REL has a role of that name"},
	{"and expiration", "and expiration: the tuple has a caveat and a time at which it ends"},
	{"with expiration", "with expiration: the tuple has a time at which it ends"},
	{"definition", "definition NAME { … }: a type of objects, with its relations, permissions and roles"},
	{"relation", "relation NAME: TYPES: what is stored; its tuples say which subjects stand in it"},
	{"permission", "permission NAME = EXPR: what is computed from relations, roles and other permissions"},
	{"caveat", "caveat NAME(PARAMS) { CEL }: a condition that a tuple can carry"},
	{"partial", "partial NAME { … }: members that definitions take in by ...NAME"},
	{"import", "import \"PATH\": takes in the definitions of another file"},
	{"use", "use FEATURE: switches on a part of the language"},
	{"roles", "roles { … }: roles from the lowest to the highest; who holds one holds every lower one"},
	{"except", "except EXPR: who holds EXPR holds no role of the block, however it came by it"},
	{"within", "within REL: says which relations put an object inside another; a revoke within that object looks here, too"},
	{"subject", "subject->NAME: the actor holds NAME on the object that the tuple's subject names"},
	{"with", "with CAVEAT: the tuple carries this condition"},
	{"of", "of REL: each subject must also stand in REL of the same object"},
	{"nil", "nil: nobody"},
	{"self", "self: the object itself, among those who ask"},
	{"any", "REL.any(NAME): NAME is held on at least one of the objects that REL points to; the same as REL->NAME"},
	{"all", "REL.all(NAME): NAME is held on every object that REL points to, and there is one"},
}

// wordText is the line about a word of a text, or empty where it is none of the
// language's.
func wordText(code string, start, end int) string {
	if start >= end {
		return ""
	}
	word := code[start:end]
	before, after := strings.Fields(lineBefore(code, start)), strings.Fields(lineAfter(code, end))
	for _, p := range phrases {
		words := strings.Fields(p.words)
		for i, w := range words {
			if w == word && endsWith(before, words[:i]) && startsWith(after, words[i+1:]) {
				return p.text
			}
		}
	}
	return ""
}

func lineBefore(code string, at int) string {
	return code[strings.LastIndexAny(code[:at], "\r\n")+1 : at]
}

func lineAfter(code string, at int) string {
	return code[at : at+lengthTo(code[at:], "\n", "\r", "{")]
}

func endsWith(words, last []string) bool {
	return len(words) >= len(last) && strings.Join(words[len(words)-len(last):], " ") == strings.Join(last, " ")
}

func startsWith(words, first []string) bool {
	return len(words) >= len(first) && strings.Join(words[:len(first)], " ") == strings.Join(first, " ")
}
