package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// toldRefusals sums up what an org's history says of refusals of one kind:
// in how many events, of how many tries, and all its text.
func (p *portal) toldRefusals(org models.OrgID, action models.Action) (events int, tries int, text string) {
	p.t.Helper()
	if err := p.System.TellRefusals(p.t.Context(), models.Now().Add(2*time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	f := models.EventFilter{Action: action, Page: models.Paging{Limit: 200}}
	for f.Page.After != "" || events == 0 {
		var page models.Page[models.AuditEvent]
		err := p.System.Look(p.t.Context(), org, func(r *models.Reader) (err error) {
			page, err = r.Events(f)
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
		for _, e := range page.Rows {
			more := 1
			if _, rest, together := strings.Cut(e.After, `"tries":`); together {
				_, _ = fmt.Sscanf(rest, "%d", &more)
			}
			if e.Outcome != models.OutcomeRefused {
				p.t.Errorf("%+v", e)
			}
			events, tries, text = events+1, tries+more, text+e.ActorName+" "+e.ObjectName+" "+e.ObjectID+" "+e.After+"\n"
		}
		if f.Page.After = page.Next; page.Next == "" {
			break
		}
	}
	return events, tries, text
}

// Whatever a stranger is refused by leaves its trace where it belongs: in the
// org that it concerns, else at the provider. A flood of it leaves a few lines
// with their number, and nothing that was typed.
func TestEveryRefusalIsToldAndAFloodOfThemIsAFewEvents(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		petra(t, p)
		ctx := t.Context()
		const flood = 60
		admin := p.as("admin@acme.example")
		dead, deadID := makeToken(t, admin, "old deploy", "user")
		if answer := admin.post("/account/tokens/"+deadID+"/revoke", nil); answer.Code != http.StatusSeeOther {
			t.Fatalf("revoke: %d", answer.Code)
		}
		used := p.invite("late@acme.example", "user")
		execRaw(t, db, "UPDATE invitations SET expires_at = '2001-01-01 00:00:00'")
		operator, err := p.System.Provider(p.as("operator@provider.example").who)
		if err != nil {
			t.Fatal(err)
		}
		edge, oldEdge, err := operator.AddEdge(ctx, "edge-old", nil)
		if err == nil {
			err = operator.DisableEdge(ctx, edge.ID, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		secrets := []string{dead, used, oldEdge}
		invented := func(i int) string {
			s := fmt.Sprintf("mw_%s%03d", strings.Repeat("q", 40), i)
			secrets = append(secrets, s)
			return s
		}
		bearer := func(method, path, token string) int {
			return p.program(token)(method, path, nil).Code
		}
		accept := func(token string) int {
			form := newcomerForm()
			form.Set("password", "never told passphrase")
			form.Set("again", "never told passphrase")
			b, cookie := p.follow(token)
			return b.accept(cookie, form).Code
		}
		secrets = append(secrets, "never told passphrase", "typed wrong word")
		for name, c := range map[string]struct {
			try    func(i int) int
			want   []int
			org    models.OrgID
			action models.Action
			names  string
		}{
			"unknown API token for an org": {func(i int) int { return bearer(http.MethodGet, "/orgs/globex/machines", invented(i)) },
				[]int{401, 429}, p.Globex.ID, models.ActionTokenRefused, "an unknown token"},
			"unknown API token for no org": {func(int) int { return bearer(http.MethodGet, "/console", "mw_nonsense") },
				[]int{401, 429}, models.ProviderOrg, models.ActionTokenRefused, "an unknown token"},
			"revoked API token": {func(int) int { return bearer(http.MethodGet, "/orgs/acme/machines", dead) },
				[]int{401, 429}, p.Acme.ID, models.ActionTokenRefused, "old deploy"},
			"invented invitation": {func(i int) int { return accept(strings.Repeat("z", 40) + fmt.Sprintf("%03d", i)) },
				[]int{404, 429}, models.ProviderOrg, models.ActionInviteRefused, "an unknown invitation"},
			"expired invitation": {func(int) int { return accept(used) },
				[]int{404, 429}, p.Acme.ID, models.ActionInviteRefused, "late@acme.example"},
			"disabled gateway": {func(int) int { return bearer(http.MethodGet, desiredPath, oldEdge) },
				[]int{401}, models.ProviderOrg, models.ActionEdgeRefused, "edge-old"},
			"other site's page": {func(int) int {
				return admin.post("/orgs/globex/machines/secret-in-the-path/power", url.Values{}, "Sec-Fetch-Site", "cross-site").Code
			}, []int{403}, p.Globex.ID, models.ActionSiteRefused, "POST /orgs/:org/machines/:id/power"},
			"other site's page, of no org": {func(int) int {
				return p.anonymous().post("/sign-in", url.Values{}, "Sec-Fetch-Site", "cross-site").Code
			},
				[]int{403}, models.ProviderOrg, models.ActionSiteRefused, "POST /sign-in"},
			"throttled account": {func(int) int { return signIn(p.anonymous(), "petra@acme.example", "typed wrong word", "").Code },
				[]int{422, 429}, p.Acme.ID, models.ActionSignInRefused, "Petra"},
		} {
			before, triesBefore, _ := p.toldRefusals(c.org, c.action)
			tries := flood
			if c.action == models.ActionSignInRefused {
				tries = 20 // ten of them are hashed
			}
			for i := range tries {
				answer := c.try(i)
				ok := false
				for _, want := range c.want {
					ok = ok || answer == want
				}
				if !ok {
					t.Fatalf("%s: %d", name, answer)
				}
			}
			events, told, text := p.toldRefusals(c.org, c.action)
			// Two a minute, and the clock may pass into another.
			if n := events - before; n < 2 || n > 6 {
				t.Errorf("%s: %d events", name, n)
			}
			if n := told - triesBefore; n != tries {
				t.Errorf("%s: %d of %d tries are told", name, n, tries)
			}
			if !strings.Contains(text, c.names) {
				t.Errorf("%s: %q is not named in %s", name, c.names, text)
			}
			for _, secret := range append(secrets, "secret-in-the-path", strings.Repeat("z", 40)) {
				if strings.Contains(text, secret) {
					t.Errorf("%s: the history has %q", name, secret)
				}
			}
		}
	})
}

// A flood that comes at once, of one source and of thousands, is told whole,
// and is a bounded number of events.
func TestFloodOfRefusalsAtOnceIsToldWhole(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		const each, sources = 200, 300
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range each / 8 {
					p.anonymous().post("/orgs/acme/people/invitations", nil, "Sec-Fetch-Site", "cross-site")
				}
			})
		}
		wg.Wait()
		for i := range sources {
			r := p.anonymous().request(http.MethodPost, "/orgs/acme/machines", url.Values{}, "Sec-Fetch-Site", "cross-site")
			r.RemoteAddr = fmt.Sprintf("[2001:db8:%x::%x]:5", i, i+1)
			p.anonymous().send(r)
		}
		// One subscriber's addresses are one source.
		for i := range sources {
			r := p.anonymous().request(http.MethodPost, "/orgs/globex/machines", url.Values{}, "Sec-Fetch-Site", "cross-site")
			r.RemoteAddr = fmt.Sprintf("[2001:db8:1:2::%x]:5", i)
			p.anonymous().send(r)
		}
		deadline := time.Now().Add(patience)
		for {
			events, told, _ := p.toldRefusals(p.Acme.ID, models.ActionSiteRefused)
			if told == each+sources {
				if events > 3*204 {
					t.Errorf("%d events", events)
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d are told", told, each+sources)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if events, told, _ := p.toldRefusals(p.Globex.ID, models.ActionSiteRefused); events > 6 || told != sources {
			t.Errorf("one subscriber: %d events of %d tries", events, told)
		}
	})
}
