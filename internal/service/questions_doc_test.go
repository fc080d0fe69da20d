package service_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/pemba-io/pemba/internal/engine"
	"github.com/pemba-io/pemba/internal/rel"
	"github.com/pemba-io/pemba/internal/service"
	"github.com/pemba-io/pemba/internal/tupledb"
)

const office = `
use roles
definition user {}
definition team { relation member: user | team#member }
definition org { roles { member: user; admin: user | team#member } }
definition folder {
  relation org: org
  roles { viewer: user | user:* | team#member = org->member; editor: user | team#member = org->admin }
}
definition doc {
  within folder
  relation folder: folder
  relation hidden: user
  relation barred: user | team#member
  roles { viewer: user | user:* | team#member; editor: user | team#member; inherit from folder }
  permission view = viewer
  permission edit = editor
  permission browse = viewer - hidden
  permission hear = viewer - barred
}
definition page {
  relation parent: page
  roles { viewer: user; inherit from parent }
}`

// docs/questions.md says what questions cost by the shape of the data. Each of its rows
// is measured here: it reads what the page says, no more and not much less.
func TestQuestionsCostWhatTheirPageSays(t *testing.T) {
	page, err := os.ReadFile("../../docs/questions.md")
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]int)
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([0-9,]+) \|$`).FindAllStringSubmatch(string(page), -1) {
		reads, err := strconv.Atoi(regexp.MustCompile(",").ReplaceAllString(row[2], ""))
		if err != nil {
			t.Fatal(err)
		}
		said[row[1]] = reads
	}
	for _, c := range officeQuestions(t) {
		t.Run(c.shape, func(t *testing.T) {
			f := open(t, "")
			f.schema(office)
			for at := 0; at < len(c.tuples); at += 1000 {
				f.put(c.tuples[at:min(at+1000, len(c.tuples))]...)
			}
			reads := c.ask(t, f)
			want, known := said[c.shape]
			switch delete(said, c.shape); {
			case !known:
				t.Errorf("docs/questions.md has no row for it; it reads %d", reads)
			case reads > want || reads < want*9/10:
				t.Errorf("%d reads; docs/questions.md says %d", reads, want)
			}
		})
	}
	for shape := range said {
		t.Errorf("docs/questions.md has a row that nobody measures: %s", shape)
	}
}

type officeQuestion struct {
	shape  string
	tuples []string
	ask    func(*testing.T, fixture) (reads int)
}

func officeQuestions(t *testing.T) []officeQuestion {
	check := func(object, name, subject string, want engine.Result) func(*testing.T, fixture) int {
		return func(t *testing.T, f fixture) int {
			answer, err := f.Check(t.Context(), service.CheckQuery{Store: rel.DefaultStore, Item: item(t, object+"#"+name+"@"+subject)})
			if err != nil || answer.Result != want {
				t.Fatalf("%v, %v; want %v", answer.Result, err, want)
			}
			return answer.Cost.Reads
		}
	}
	batch := func(items int, granted bool, item func(i int) service.CheckItem) func(*testing.T, fixture) int {
		return func(t *testing.T, f fixture) int {
			q := service.BatchQuery{Store: rel.DefaultStore}
			for i := range items {
				q.Items = append(q.Items, service.BatchItem{CheckItem: item(i)})
			}
			answer, err := f.BatchCheck(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range answer.Outcomes {
				if o.Err != nil || (o.Answer.Result == engine.Granted) != granted {
					t.Fatalf("item %d: %v, %v", i, o.Answer.Result, o.Err)
				}
			}
			return answer.Cost.Reads
		}
	}
	explained := func(object, name string, want engine.Result) func(*testing.T, fixture) int {
		return func(t *testing.T, f fixture) int {
			answer, err := f.Check(t.Context(), service.CheckQuery{
				Store: rel.DefaultStore, Item: item(t, object+"#"+name+"@user:ana"), Explain: true,
			})
			if err != nil || answer.Result != want || answer.Reason == nil || (len(answer.Openings) > 0) != (want == engine.Denied) {
				t.Fatalf("%v by %v, %v; want %v", answer.Result, answer.Reason, err, want)
			}
			return answer.Cost.Reads
		}
	}
	objects := func(typ rel.ObjectType, name rel.Name, within string, size, want int) func(*testing.T, fixture) int {
		return func(t *testing.T, f fixture) int {
			q := service.ObjectsQuery{Store: rel.DefaultStore, Type: typ, Name: name, Principal: item(t, "doc:d#view@user:ana").Principal, PageSize: size}
			if within != "" {
				q.Within = item(t, within+"#view@user:ana").Object
			}
			answer, err := f.ListObjects(t.Context(), q)
			if err != nil || len(answer.Objects) != want {
				t.Fatalf("%d are listed, want %d: %v", len(answer.Objects), want, err)
			}
			return answer.Cost.Reads
		}
	}
	subjects := func(name rel.Name, size, want int) func(*testing.T, fixture) int {
		return func(t *testing.T, f fixture) int {
			answer, err := f.ListSubjects(t.Context(), service.SubjectsQuery{
				Store: rel.DefaultStore, Object: item(t, "doc:d#view@user:ana").Object, Name: name, Type: "user", PageSize: size,
			})
			if err != nil || len(answer.Subjects) != want {
				t.Fatalf("%d are listed, want %d: %v", len(answer.Subjects), want, err)
			}
			return answer.Cost.Reads
		}
	}
	of := func(parts ...[]string) (all []string) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	nested := []string{"team:a#member@team:b#member", "team:b#member@team:c#member", "team:c#member@user:ana"}
	deep := []string{"doc:d#viewer@team:t0#member"}
	for i := range 19 {
		deep = append(deep, fmt.Sprintf("team:t%d#member@team:t%d#member", i, i+1))
	}
	inherited := []string{"doc:d#folder@folder:f", "folder:f#org@org:o", "org:o#member@user:ana"}
	tall := of(many("doc:d%#folder@folder:f", 6000), []string{"folder:f#org@org:o", "org:o#member@user:ana"})
	small := of(many("doc:s%#folder@folder:small", 10), []string{"folder:small#org@org:o"})
	people := of(many("doc:d#viewer@user:u%", 20), many("team:t#member@user:t%", 40), many("org:o#member@user:m%", 40),
		[]string{"doc:d#editor@team:t#member", "doc:d#folder@folder:f", "folder:f#org@org:o"})

	return []officeQuestion{
		{"Check, a direct grant among ten", many("doc:d#viewer@user:u%", 10), check("doc:d", "view", "user:u3", engine.Granted)},
		{"Check, inherited through a folder from an organization", inherited, check("doc:d", "view", "user:ana", engine.Granted)},
		{"Check, through three nested groups", of([]string{"doc:d#viewer@team:a#member"}, nested), check("doc:d", "view", "user:ana", engine.Granted)},
		{"Check, denied after twenty nested groups", deep, check("doc:d", "view", "user:ana", engine.Denied)},
		{"Check, denied where ten thousand users have a grant", many("doc:d#viewer@user:u%", 10000), check("doc:d", "view", "user:ana", engine.Denied)},
		{"Check, a user in a thousand groups, a document shared with a thousand others", of(many("doc:d#viewer@team:g%#member", 1000), many("team:o%#member@user:ana", 1000)), check("doc:d", "view", "user:ana", engine.Denied)},
		{"EffectiveAccess, inherited through a folder from an organization", inherited, func(t *testing.T, f fixture) int {
			answer, err := f.EffectiveAccess(t.Context(), service.AccessQuery{Store: rel.DefaultStore, Object: item(t, "doc:d#view@user:ana").Object, Principal: item(t, "doc:d#view@user:ana").Principal})
			if err != nil || answer.Role != "viewer" {
				t.Fatal(answer.Role, err)
			}
			return answer.Cost.Reads
		}},
		{"BatchCheck, a hundred questions about one document", inherited, batch(100, true, func(i int) service.CheckItem {
			return item(t, "doc:d#"+[]string{"view", "viewer", "browse", "hear"}[i%4]+"@user:ana")
		})},
		{"BatchCheck, a hundred documents of one folder", of(many("doc:d%#folder@folder:f", 100), inherited[1:]), batch(100, true, func(i int) service.CheckItem {
			return item(t, fmt.Sprintf("doc:d%d#view@user:ana", i))
		})},
		{"BatchCheck, a hundred people of one document", people, batch(100, false, func(i int) service.CheckItem {
			return item(t, fmt.Sprintf("doc:d#edit@user:x%d", i))
		})},
		{"Check with its reasons, inherited through a folder from an organization", inherited, explained("doc:d", "view", engine.Granted)},
		{"Check with its reasons, denied in a folder of an organization", inherited[:2], explained("doc:d", "view", engine.Denied)},
		{"Check with its reasons, denied after twenty nested groups", deep, explained("doc:d", "view", engine.Denied)},
		{"Check with its reasons, denied where ten thousand users have a grant", many("doc:d#viewer@user:u%", 10000), explained("doc:d", "view", engine.Denied)},
		{"ListObjects, nothing", tall, objects("doc", "editor", "", 100, 0)},
		{"ListObjects, ten documents of her own among six thousand", of(tall[:6000], many("doc:x%#editor@user:ana", 10)), objects("doc", "editor", "", 100, 10)},
		{"ListObjects, ten documents through three nested groups", of(tall[:6000], nested, many("doc:x%#editor@team:a#member", 10)), objects("doc", "editor", "", 100, 10)},
		{"ListObjects, a page of a hundred of six thousand inherited", tall, objects("doc", "view", "", 100, 100)},
		{"ListObjects, the same less what is hidden on the document itself", tall, objects("doc", "browse", "", 100, 100)},
		{"ListObjects, the same less what groups bar, each looked at", tall, objects("doc", "hear", "", 100, 100)},
		{"ListObjects, ten within a folder, of six thousand and ten", of(tall, small), objects("doc", "view", "folder:small", 100, 10)},
		{"ListObjects, fifty pages below one another", append(many("page:p%#parent@page:top", 50), "page:top#viewer@user:ana"), objects("page", "viewer", "", 100, 51)},
		{"ListSubjects, a hundred people through a group, a folder and an organization", people, subjects("view", 1000, 100)},
		{"ListSubjects, a page of a hundred of a group of ten thousand", append(many("team:t#member@user:u%", 10000), "doc:d#viewer@team:t#member"), subjects("view", 100, 100)},
	}
}

// put stores tuples as they are.
func (f fixture) put(texts ...string) {
	f.Helper()
	c := tupledb.Commit{Put: f.tuplesOf(texts...)}
	if _, err := f.store.Update(context.Background(), func(*tupledb.Snapshot) (tupledb.Commit, error) { return c, nil }); err != nil {
		f.Fatal(err)
	}
}

func many(format string, n int) (all []string) {
	place := regexp.MustCompile("%")
	for i := range n {
		all = append(all, place.ReplaceAllString(format, strconv.Itoa(i)))
	}
	return all
}
