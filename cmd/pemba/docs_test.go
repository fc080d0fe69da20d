package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/scenario"
	"github.com/pemba-io/pemba/internal/scenario/embedded"
	"github.com/pemba-io/pemba/internal/scenario/oracledriver"
)

// pagesRun are the pages in which nothing is shown that is not run. They are read
// here, beside the command line, because they show what its commands print.
var pagesRun = []string{"language.md", "modeling.md", "coming-from-spicedb.md", "coming-from-openfga.md"}

// What a fence shows is said behind its backticks:
//
//	zed                a schema that `schema check` finds nothing wrong with
//	zed error RULE     one that it finds wrong, by exactly these rules, in this order
//	zed warning RULE   one that it warns of
//	zed file NAME      a file that later ones may import, with nothing wrong with it
//	diagnostic         what `schema check` prints of the schema above
//	yaml test          a test file that the oracle and the product pass; without a
//	                   schema, it is about the schema above, as with `test --schema`
//	tuples             tuple text, a tuple a line
//	text spicedb       another product's language, which cannot be run here;
//	text openfga       the same
//
// Any other fence is a fault, so that a page can show nothing unseen.
func TestThePagesShowWhatRuns(t *testing.T) {
	docs, err := filepath.Abs("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pagesRun {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(docs, name))
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(t.TempDir()) // what is printed names the file that was checked
			p := &page{t: t, path: "docs/" + name}
			for _, f := range p.fences(string(text)) {
				p.show(f)
			}
			if p.schemas == 0 {
				t.Error("the page shows no schema")
			}
			p.rulesExist(string(text))
			p.linksLead(docs, string(text))
		})
	}
}

// A fence is a fenced block of a page.
type fence struct {
	line int // of its first line of text, from 1
	tag  string
	text string
}

// A page is a page while its fences are run, one after another.
type page struct {
	t       *testing.T
	path    string
	schemas int

	schema  string // the last one that compiles
	printed string // what `schema check` printed of the schema above
}

// fences are the fenced blocks of a text. One inside a list would be rendered and
// not found here, so it is a fault.
func (p *page) fences(text string) []fence {
	var all []fence
	var open *fence
	for i, line := range strings.Split(text, "\n") {
		mark, isMark := strings.CutPrefix(line, "```")
		switch {
		case isMark && open == nil:
			open = &fence{line: i + 2, tag: mark}
		case isMark:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case strings.Contains(line, "```"), strings.HasPrefix(line, "~~~"):
			p.t.Errorf("%s:%d: a fence that does not begin its line with backticks", p.path, i+1)
		}
	}
	if open != nil {
		p.t.Errorf("%s:%d: the fence has no end", p.path, open.line-1)
	}
	return all
}

func (p *page) show(f fence) {
	words := strings.Fields(f.tag)
	kind := strings.Join(words[:min(2, len(words))], " ")
	switch {
	case f.tag == "zed":
		p.check(f, "schema.zed", "")
	case kind == "zed error" && len(words) > 2, kind == "zed warning" && len(words) > 2:
		p.check(f, "schema.zed", words[1], words[2:]...)
	case kind == "zed file" && len(words) == 3:
		p.check(f, words[2], "")
	case f.tag == "diagnostic":
		p.diagnostic(f)
	case f.tag == "yaml test":
		p.test(f)
	case f.tag == "tuples":
		p.tuples(f)
	case f.tag == "text spicedb", f.tag == "text openfga":
	default:
		p.t.Errorf("%s:%d: nothing here runs a fence with the tag %q", p.path, f.line-1, f.tag)
	}
}

// write puts a fence where commands find it.
func (p *page) write(f fence, name string) {
	if err := os.WriteFile(name, []byte(f.text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// check compares what `schema check` finds with what the tag says.
func (p *page) check(f fence, name, severity string, rules ...string) {
	p.write(f, name)
	p.schemas++
	p.printed = p.schemaCheck(name, "table")
	var found checkReport
	if err := json.Unmarshal([]byte(p.schemaCheck(name, jsonOutput)), &found); err != nil {
		p.t.Fatal(err)
	}
	var got []string
	for _, d := range found.Diagnostics {
		if d.Severity != severity {
			p.t.Errorf("%s:%d: %s not expected: %s: %s", p.path, f.line+d.Line-1, d.Severity, d.Rule, d.Message)
		}
		got = append(got, d.Rule)
	}
	if severity != "" && !slices.Equal(got, rules) {
		p.t.Errorf("%s:%d: found %v, and the tag says %v", p.path, f.line-1, got, rules)
	}
	if found.Errors == 0 {
		p.schema = f.text
	}
}

// schemaCheck runs the command without a process of its own.
func (p *page) schemaCheck(name, form string) string {
	var out bytes.Buffer
	a := &app{globals: &globals{Output: form}, out: bufio.NewWriter(&out), err: &out}
	a.finish((&schemaCheckCmd{Files: []string{name}}).Run(a))
	return out.String()
}

// diagnostic compares all that was printed but the last line, which counts.
func (p *page) diagnostic(f fence) {
	lines := strings.SplitAfter(strings.TrimSuffix(p.printed, "\n"), "\n")
	if got := strings.Join(lines[:len(lines)-1], ""); got != f.text {
		p.t.Errorf("%s:%d: `schema check` prints\n%s", p.path, f.line, got)
	}
}

// test runs a test file by every way of asking. Empty lines before it make its
// lines those of the page.
func (p *page) test(f fence) {
	file, err := scenario.Read(p.path, []byte(strings.Repeat("\n", f.line-1)+f.text))
	if err != nil {
		for _, each := range fault.Of(err).All() {
			p.t.Error(each.Sentence())
		}
		return
	}
	if file.Schema.Path == "" {
		file.UseSchema(scenario.Schema{Text: p.schema, Path: "the schema above"})
	}
	product := &embedded.Driver{}
	defer func() {
		if err := product.Close(); err != nil {
			p.t.Error(err)
		}
	}()
	p.judge(f, "oracle", scenario.Run(p.t.Context(), file, oracledriver.New()))
	p.judge(f, "product", scenario.Run(p.t.Context(), file, product))
}

func (p *page) judge(f fence, by string, report scenario.Report) {
	if report.Err != nil {
		p.t.Errorf("%s: %s", by, strings.Join(report.Failures(), "\n"))
		return
	}
	if len(report.Results) == 0 {
		p.t.Errorf("%s:%d: the test file has no case", p.path, f.line-1)
	}
	for _, r := range report.Results {
		if !r.Passed {
			p.t.Errorf("%s: %s", by, r)
		}
	}
}

// tuples are read, and are printed as they are written.
func (p *page) tuples(f fence) {
	for i, line := range strings.Split(strings.TrimSuffix(f.text, "\n"), "\n") {
		if tuple, err := rel.ParseTuple(line); err != nil {
			p.t.Errorf("%s:%d: %v", p.path, f.line+i, err)
		} else if tuple.String() != line {
			p.t.Errorf("%s:%d: the tuple is printed %s", p.path, f.line+i, tuple)
		}
	}
}

// Every rule of the schema language is in its reference.
func TestTheReferenceHasEveryRule(t *testing.T) {
	text, err := os.ReadFile("../../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	for rule := fault.SchemaMustBeReadable; rule < fault.SchemaVersionMustMatch; rule++ {
		if !strings.Contains(string(text), rule.Reason()) {
			t.Errorf("docs/language.md does not name %s", rule)
		}
	}
}

var ruleForm = regexp.MustCompile(`[A-Z]+(_[A-Z]+)*_(MUST|SHOULD)(_[A-Z]+)+`)

// rulesExist sees that each rule that a page names is one.
func (p *page) rulesExist(text string) {
	for _, rule := range ruleForm.FindAllString(text, -1) {
		if _, is := fault.CodeOf(rule); !is {
			p.t.Errorf("%s: there is no rule %s", p.path, rule)
		}
	}
}

var (
	linkForm    = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	headingForm = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// linksLead sees that the links inside the repository lead to a file, and to a
// heading of it.
func (p *page) linksLead(docs, text string) {
	for _, link := range linkForm.FindAllStringSubmatch(text, -1) {
		target := text
		if link[1] != "" {
			read, err := os.ReadFile(filepath.Join(docs, link[1]))
			if err != nil {
				p.t.Errorf("%s: the link %s leads nowhere", p.path, link[0])
				continue
			}
			target = string(read)
		}
		if link[2] != "" && !slices.Contains(anchors(target), link[2]) {
			p.t.Errorf("%s: the link %s leads to no heading", p.path, link[0])
		}
	}
}

// anchors are the headings of a text as links name them.
func anchors(text string) []string {
	var all []string
	for _, heading := range headingForm.FindAllStringSubmatch(text, -1) {
		anchor := notInAnchor.ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, "#"+strings.ReplaceAll(anchor, " ", "-"))
	}
	return all
}
