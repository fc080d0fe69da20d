package oracle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pemba-io/pemba/internal/fault"
	"github.com/pemba-io/pemba/internal/oracle"
	"github.com/pemba-io/pemba/internal/rel"
)

// An acted is one write on a state, and what it comes to: "refused", which is
// ACTOR_MUST_BE_ALLOWED_TO_GRANT, another reason, or the net change.
type acted struct {
	why     string
	actor   string // with its context behind a space
	updates string // one a line, or behind a semicolon
	want    string
}

func judge(t *testing.T, o *oracle.Oracle, cases []acted) {
	t.Helper()
	for _, c := range cases {
		changes, next, err := o.Write(actor(t, c.actor), updates(t, lines(c.updates)...), nil)
		got := "refused"
		switch {
		case err == nil:
			var texts []string
			for _, change := range changes {
				texts = append(texts, change.String())
			}
			got = strings.Join(texts, "; ")
			if broken := next.Breaks(); broken != nil {
				t.Errorf("%s: what was accepted breaks %v", c.why, broken)
			}
		case !fault.Is(err, fault.ActorMustBeAllowedToGrant):
			got = fault.Of(err).Code.Reason()
		}
		if got != c.want {
			t.Errorf("%s: %s by %q: %s (%v), want %s", c.why, c.updates, c.actor, got, err, c.want)
		}
	}
}

func lines(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ';' }), func(line string) bool {
		return strings.TrimSpace(line) == ""
	})
}

func actor(t *testing.T, text string) rel.Actor {
	t.Helper()
	if text == "" {
		return rel.Actor{}
	}
	subject, context, _ := strings.Cut(text, " ")
	var given rel.Context
	var err error
	if context != "" {
		if given, err = rel.ParseContext(context); err != nil {
			t.Fatal(err)
		}
	}
	a, err := rel.NewActor(subject, given)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTuplesAreGrantedAndRevokedByWhoMay(t *testing.T) {
	o := world(t, `use roles
		use expiration
		caveat small(n int) { n < 10 }
		definition user {}
		definition team { relation member: user | team#member granted by member }
		definition doc {
			relation giver: user | user with small
			relation taker: user
			relation reader: user | user with expiration | user with small | team#member granted by giver revoked by taker
			relation self_made: user | user:* granted by giver except self
			relation kept: user granted by giver revoked by giver except self
			relation loose: user revoked by giver
			relation plain: user
			relation team: team | team#member granted by subject->member & giver
			relation anyone: user:* | team granted by subject->member + subject->nothing revoked by giver - (taker - giver)
		}`,
		"doc:1#giver@user:ana", "doc:1#taker@user:tom", "doc:1#giver@user:bea[small]",
		"doc:1#giver@user:two", "doc:1#taker@user:two",
		"doc:1#reader@user:joe", "doc:1#loose@user:joe", "doc:1#kept@user:ana", "doc:1#plain@user:joe",
		"team:a#member@user:ana", "team:a#member@team:b#member")
	judge(t, o, []acted{
		{"giver", "user:ana", "create doc:1#reader@user:new", "create doc:1#reader@user:new"},
		{"not a giver", "user:tom", "create doc:1#reader@user:new", "refused"},
		{"the application", "", "create doc:1#plain@user:new", "create doc:1#plain@user:new"},
		{"on another object", "user:ana", "create doc:2#reader@user:new", "refused"},
		{"taker", "user:tom", "delete doc:1#reader@user:joe", "delete doc:1#reader@user:joe"},
		{"not a taker", "user:ana", "delete doc:1#reader@user:joe", "refused"},
		{"what is not there is taken by right, too", "user:ana", "delete doc:1#reader@user:new", "refused"},
		{"nothing changes", "user:tom", "delete doc:1#reader@user:new", ""},
		{"there exactly so", "user:ana", "touch doc:1#reader@user:joe", ""},
		{"there exactly so, no giver", "user:tom", "touch doc:1#reader@user:joe", "refused"},
		{"a caveat needs both", "user:ana", "touch doc:1#reader@user:joe[small]", "refused"},
		{"a caveat needs both, the other", "user:tom", "touch doc:1#reader@user:joe[small]", "refused"},
		{"a caveat with both", "user:two", "touch doc:1#reader@user:joe[small]", "touch doc:1#reader@user:joe[small]"},
		{"an expiration is a hidden removal", "user:ana", "touch doc:1#reader@user:joe[expiration:2031-01-01T00:00:00Z]", "refused"},
		{"deleted and put is two acts", "user:ana", "delete doc:1#reader@user:joe; create doc:1#reader@user:joe", "refused"},
		{"deleted and put by both", "user:two", "delete doc:1#reader@user:joe; create doc:1#reader@user:joe", ""},
		{"put and taken away again", "user:tom", "create doc:1#reader@user:new; delete doc:1#reader@user:new", "refused"},
		{"on the state before the write", "user:two", "create doc:1#reader@user:new; delete doc:1#reader@user:new", ""},
		{"a right that the write gives", "user:ana", "create doc:1#giver@user:new", "refused"},
		{"a conditional right", "user:bea", "create doc:1#reader@user:new", "refused"},
		{"a condition that is met", `user:bea {"n":5}`, "create doc:1#reader@user:new", "create doc:1#reader@user:new"},
		{"a condition that is not", `user:bea {"n":50}`, "create doc:1#reader@user:new", "refused"},

		{"except self", "user:ana", "create doc:1#self_made@user:ana", "refused"},
		{"except self alone", "user:ana", "create doc:1#self_made@user:tom", "create doc:1#self_made@user:tom"},
		{"all are not myself", "user:ana", "create doc:1#self_made@user:*", "create doc:1#self_made@user:*"},
		{"a clause left out copies except self", "user:ana", "delete doc:1#self_made@user:ana", "refused"},
		{"except self of one clause", "user:ana", "touch doc:1#kept@user:ana", ""},
		{"except self of the other", "user:ana", "delete doc:1#kept@user:ana", "refused"},

		{"who only takes does not give", "user:ana", "touch doc:1#loose@user:joe", "refused"},
		{"who only takes", "user:ana", "delete doc:1#loose@user:joe", "delete doc:1#loose@user:joe"},
		{"no rule", "user:ana", "touch doc:1#plain@user:joe", "refused"},
		{"no rule for what is not there", "user:ana", "delete doc:1#plain@user:new", "refused"},

		{"the subject's object", "user:ana", "create doc:1#team@team:a", "create doc:1#team@team:a"},
		{"its relation left aside", "user:ana", "create doc:1#team@team:a#member", "create doc:1#team@team:a#member"},
		{"another subject", "user:ana", "create doc:1#team@team:b", "refused"},
		{"of the state before", "user:ana", "create team:a#member@team:c#member; create doc:1#team@team:c", "refused"},
		{"an actor that is a userset", "team:b#member", "create doc:1#anyone@team:a", "create doc:1#anyone@team:a"},
		{"a wildcard holds nothing", "user:ana", "create doc:1#anyone@user:*", "refused"},
		{"an object that is there is judged as it is", "user:two", "delete doc:1#anyone@user:*", ""},

		{"by a filter", "user:tom", "delete_matching doc:1#reader", "delete doc:1#reader@user:joe"},
		{"each by its own rule", "user:tom", "delete_matching doc:1#@user:joe", "refused"},
		{"nothing is selected", "user:nobody", "delete_matching doc:2", ""},
		{"the object, as a subject, too", "user:ana", "delete_object user:joe", "refused"},
		{"one refused, all refused", "user:ana", "create doc:1#reader@user:new; create doc:1#plain@user:new", "refused"},
		{"another reason comes first", "user:nobody", "create doc:1#reader@user:joe", "ALREADY_EXISTS"},
	})
}

func TestANewObjectIsCreatedByWhoMay(t *testing.T) {
	o := world(t, `use roles
		caveat small(n int) { n < 10 }
		definition user {}
		definition org {
			relation admin: user
			relation blocked: user
			permission create = admin
		}
		definition bag { relation thing: user granted by thing }
		definition doc {
			created by org->create - org->blocked
			relation org: org | org with small granted by subject->create
			relation other: org granted by nothing - other
			relation folder: folder granted by subject->edit
			relation owner: user granted by owner
			relation banned: user granted by owner - banned
			relation twice: user granted by owner - (owner - nothing)
			relation reader: user granted by org->create
			relation writer: user granted by org.all(create) & other->create
			permission nothing = nil
		}
		definition folder {
			created by up->edit + org->create
			relation up: folder granted by subject->edit
			relation org: org granted by subject->create & up->edit
			relation editor: user granted by editor
			relation mark: user granted by org->create
			permission edit = editor
		}`,
		"org:a#admin@user:ana", "org:b#admin@user:bob", "org:c#admin@user:ana", "org:c#blocked@user:ana",
		"folder:top#editor@user:ana", "bag:1#thing@user:x")
	judge(t, o, []acted{
		{"linked to what one may create in", "user:ana", "create doc:1#org@org:a", "create doc:1#org@org:a"},
		{"linked to a foreign one", "user:ana", "create doc:1#org@org:b", "refused"},
		{"a foreign one beside", "user:ana", "create doc:1#org@org:a; create doc:1#org@org:b", "refused"},
		{"the right side of created by is judged over the links", "user:ana", "create doc:1#org@org:c", "refused"},
		{"no link", "user:ana", "create doc:1#owner@user:ana", "refused"},
		{"names of the object count as held", "user:ana", "create doc:1#owner@user:ana; create doc:1#org@org:a", "create doc:1#org@org:a; create doc:1#owner@user:ana"},
		{"whoever holds them", "user:ana", "create doc:1#org@org:a; create doc:1#owner@user:joe", "create doc:1#org@org:a; create doc:1#owner@user:joe"},
		{"and as not held to the right", "user:ana", "create doc:1#org@org:a; create doc:1#banned@user:joe", "create doc:1#banned@user:joe; create doc:1#org@org:a"},
		{"and anywhere to the right", "user:ana", "create doc:1#org@org:a; create doc:1#twice@user:joe", "create doc:1#org@org:a; create doc:1#twice@user:joe"},
		{"what the link gives", "user:ana", "create doc:1#reader@user:joe; create doc:1#org@org:a", "create doc:1#org@org:a; create doc:1#reader@user:joe"},
		{"a computed name counts as held", "user:ana", "create doc:1#org@org:a; create doc:1#other@org:b", "create doc:1#org@org:a; create doc:1#other@org:b"},
		{"arrows are judged", "user:ana", "create doc:1#org@org:a; create doc:1#other@org:b; create doc:1#writer@user:joe", "refused"},
		{"arrows over two links", "user:ana", "create doc:1#org@org:a; create doc:1#other@org:a; create doc:1#writer@user:joe",
			"create doc:1#org@org:a; create doc:1#other@org:a; create doc:1#writer@user:joe"},
		{"a link on a condition", "user:ana", "create doc:1#org@org:a[small]", "refused"},
		{"a link on a condition that is met", `user:ana {"n":1}`, "create doc:1#org@org:a[small]", "create doc:1#org@org:a[small]"},
		{"a link that is taken away again", "user:ana", "create doc:1#org@org:a; delete doc:1#org@org:a", "refused"},
		{"nobody creates", "user:ana", "create bag:2#thing@user:ana", "refused"},
		{"there, so nothing is created", "user:x", "create bag:1#thing@user:ana", "create bag:1#thing@user:ana"},
		{"an absent tuple of a new object", "user:nobody", "delete doc:1#owner@user:ana", ""},
		{"an absent tuple over an arrow", "user:ana", "delete doc:1#reader@user:ana", "refused"},
		{"named as a subject, not created", "user:ana", "create doc:1#org@org:a; create doc:1#owner@user:new", "create doc:1#org@org:a; create doc:1#owner@user:new"},
		{"parent and child take two writes", "user:ana", "create folder:1#up@folder:top; create folder:2#up@folder:1", "refused"},
		{"links grow", "user:ana", "create folder:1#up@folder:top; create folder:1#org@org:a; create folder:1#mark@user:joe",
			"create folder:1#mark@user:joe; create folder:1#org@org:a; create folder:1#up@folder:top"},
		{"links do not hold each other", "user:ana", "create folder:1#org@org:a; create folder:1#mark@user:joe", "refused"},
		{"a link to itself", "user:ana", "create folder:1#up@folder:1; create folder:1#editor@user:ana", "refused"},
	})
	// What has only been a subject is no longer new.
	_, next, err := o.Write(rel.Actor{}, updates(t, "create doc:old#folder@folder:used"), nil)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, next, []acted{
		{"an object that stands as a subject is not new", "user:ana", "create folder:used#up@folder:top; create folder:used#editor@user:ana", "refused"},
	})
}

func TestAssignTakesThePlace(t *testing.T) {
	o := world(t, `use roles
		use expiration
		definition user {}
		definition late {
			relation boss: user
			roles { low: user granted by boss; high: user with expiration granted by boss }
		}
		definition ws {
			relation boss: user
			roles one per subject {
				guest: user granted by boss
				admin: user granted by boss
			}
		}
		definition role {
			relation boss: user
			relation ws: ws granted by boss
			relation holder: user one per subject with ws granted by boss
		}
		definition doc {
			relation boss: user
			relation note: user granted by boss
			roles {
				reader: user granted by boss
				writer: user granted by boss
				owner: user granted by boss revoked by nobody
			}
			permission nobody = nil
		}`,
		"late:1#boss@user:ana", "late:1#low@user:joe",
		"ws:1#boss@user:ana", "role:a#boss@user:ana", "role:b#boss@user:ana", "role:a#ws@ws:1", "role:b#ws@ws:1",
		"ws:1#guest@user:joe", "role:a#holder@user:tom", "role:c#ws@ws:2", "role:c#holder@user:joe", "role:c#holder@user:tom",
		"doc:1#boss@user:ana", "doc:1#reader@user:joe", "doc:1#writer@user:joe", "doc:1#owner@user:eva", "doc:1#note@user:joe").
		At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	judge(t, o, []acted{
		{"the other role of the ladder", "user:ana", "assign ws:1#admin@user:joe", "create ws:1#admin@user:joe; delete ws:1#guest@user:joe"},
		{"a custom role, in the place of a role", "user:ana", "assign role:b#holder@user:joe", "create role:b#holder@user:joe; delete ws:1#guest@user:joe"},
		{"a custom role, in the place of another", "user:ana", "assign role:b#holder@user:tom", "delete role:a#holder@user:tom; create role:b#holder@user:tom"},
		{"a role, in the place of a custom one", "user:ana", "assign ws:1#guest@user:tom", "delete role:a#holder@user:tom; create ws:1#guest@user:tom"},
		{"linking in the same write", "user:ana", "create role:d#ws@ws:1; assign role:a#holder@user:tom", "refused"},
		{"roles that are not one per subject", "user:ana", "assign doc:1#writer@user:joe", "delete doc:1#reader@user:joe"},
		{"what goes is judged", "user:ana", "assign doc:1#reader@user:eva", "refused"},
		{"by the application", "", "assign doc:1#reader@user:eva", "delete doc:1#owner@user:eva; create doc:1#reader@user:eva"},
		{"of others nothing goes", "user:ana", "assign doc:1#reader@user:new", "create doc:1#reader@user:new"},
		{"it is so already", "user:ana", "assign role:a#holder@user:tom", ""},
		{"by what has expired already", "user:ana", "assign late:1#high@user:joe[expiration:2029-01-01T00:00:00Z]",
			"create late:1#high@user:joe[expiration:2029-01-01T00:00:00Z]; delete late:1#low@user:joe"},
		{"no role", "user:ana", "assign doc:1#note@user:joe", "NOT_IN_SCHEMA"},
		{"no relation", "user:ana", "assign doc:1#nobody@user:joe", "NOT_IN_SCHEMA"},
	})
}

func TestRevokeTakesWhatGives(t *testing.T) {
	o := world(t, `use roles
		definition user {}
		definition group { relation member: user | group#member granted by member }
		definition org {
			relation member: user | group | group#member granted by member
			relation plain: user
			relation suspended: user granted by member
			permission is_suspended = suspended
		}
		definition folder {
			within org, up
			relation org: org
			relation up: folder | folder#up
			relation banned: user granted by up->viewer
			relation barred: user granted by up->viewer
			relation shut: user granted by up->viewer
			relation out: group | user granted by up->viewer
			relation note: user granted by up->viewer
			relation circle: user | folder#circle granted by up->viewer
			relation both: user granted by up->viewer
			permission may = viewer - shut
			permission not_barred = barred + org->is_suspended
			permission all = (viewer + both) - not_barred - out->member - both
			roles except banned {
				viewer: user | group#member granted by up->viewer
				editor: user
			}
		}`,
		"folder:1#org@org:a", "folder:2#up@folder:1", "folder:3#up@folder:2", "folder:4#up@folder:3#up", "folder:9#org@org:b",
		"org:a#member@user:joe", "org:a#plain@user:joe", "org:a#suspended@user:joe", "org:b#member@user:joe",
		"folder:1#banned@user:joe", "folder:1#barred@user:joe", "folder:1#shut@user:joe", "folder:1#out@user:joe",
		"folder:1#note@user:joe", "folder:1#circle@user:joe", "folder:1#both@user:joe",
		"folder:3#viewer@user:joe", "folder:3#editor@user:joe", "folder:4#viewer@user:joe", "folder:9#viewer@user:joe",
		"folder:2#viewer@group:g#member", "group:g#member@user:joe", "org:a#member@group:g")
	judge(t, o, []acted{
		{"at any depth, and no ban is lifted", "", "revoke user:joe within org:a", strings.Join([]string{
			"delete folder:1#both@user:joe", "delete folder:1#circle@user:joe", "delete folder:1#note@user:joe",
			"delete folder:3#editor@user:joe", "delete folder:3#viewer@user:joe", "delete org:a#member@user:joe"}, "; ")},
		{"from the middle", "", "revoke user:joe within folder:3", "delete folder:3#editor@user:joe; delete folder:3#viewer@user:joe"},
		{"a userset is a subject", "", "revoke group:g#member within org:a", "delete folder:2#viewer@group:g#member"},
		{"an object is another", "", "revoke group:g within org:a", "delete org:a#member@group:g"},
		{"of the state that updates left", "", "delete folder:2#up@folder:1; revoke user:joe within org:a; create folder:2#up@folder:1", strings.Join([]string{
			"delete folder:1#both@user:joe", "delete folder:1#circle@user:joe", "delete folder:1#note@user:joe", "delete org:a#member@user:joe"}, "; ")},
		{"each is judged", "user:joe", "revoke user:joe within org:a", "refused"},
		{"each by its rule", "user:joe", "revoke user:joe within org:b", "refused"},
		{"nothing to take", "user:nobody", "revoke user:nobody within org:a", ""},
		{"no such type", "", "revoke person:joe within org:a", "NOT_IN_SCHEMA"},
		{"no such relation", "", "revoke group:g#leader within org:a", "NOT_IN_SCHEMA"},
		{"no such place", "", "revoke user:joe within firm:a", "NOT_IN_SCHEMA"},
	})
}
