package web

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Operators move a lost gateway's orgs on its page; with its token it gets them
// no more.
func TestOperatorMovesOrgsOffALostGateway(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p := newPortal(t, db)
		operator := p.as("operator@provider.example")
		machine := p.anonymous()
		register := func(name string) (page, id, token string) {
			w := operator.post("/provider/edges", url.Values{"name": {name}})
			mustStatus(t, "register", w.Code, http.StatusOK, w.Body.String())
			page = regexp.MustCompile(`/provider/edges/[0-9a-f-]{36}`).FindString(w.Body.String())
			return page, strings.TrimPrefix(page, "/provider/edges/"), regexp.MustCompile(`mwe_[A-Za-z0-9_-]+`).FindString(w.Body.String())
		}
		carries := func(token string) bool {
			t.Helper()
			w := machine.send(machine.request(http.MethodGet, "/edge/v1/desired", nil, "Authorization", "Bearer "+token, "Accept", "application/json"))
			mustStatus(t, "desired", w.Code, http.StatusOK, w.Body.String())
			return strings.Contains(w.Body.String(), string(p.Acme.ID))
		}
		lost, lostID, lostToken := register("gw-lost")
		if err := p.network.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !carries(lostToken) {
			t.Fatal("the first gateway carries nobody")
		}
		if body := operator.get(lost).Body.String(); !strings.Contains(body, `id="move"`) || !strings.Contains(body, "There is no other gateway") {
			t.Error("the page of the only gateway doesn't say that there is no other")
		}
		spare, spareID, spareToken := register("gw-spare")
		if body := operator.get(spare).Body.String(); strings.Contains(body, `id="move"`) {
			t.Error("a gateway without orgs offers to move them")
		}
		for what, c := range map[string]struct {
			form url.Values
			want string
		}{
			"nothing said":  {url.Values{}, `id="off-error"`},
			"to itself":     {url.Values{"to": {lostID}, "off": {"yes"}}, "Choose another gateway"},
			"to a silent":   {url.Values{"to": {spareID}, "off": {"yes"}}, "is silent"},
			"not confirmed": {url.Values{"to": {spareID}}, `value="` + spareID + `" selected`},
		} {
			w := operator.post(lost+"/move", c.form)
			mustStatus(t, what, w.Code, http.StatusUnprocessableEntity, w.Body.String())
			if !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s: the form comes back without %s", what, c.want)
			}
		}
		report := machine.request(http.MethodPost, "/edge/v1/status", url.Values{}, "Authorization", "Bearer "+spareToken, "Accept", "application/json")
		const live = `{"version":1,"agent":"test","epoch":"e","orgs":[]}`
		report.Body, report.ContentLength = io.NopCloser(strings.NewReader(live)), int64(len(live))
		mustStatus(t, "report", machine.send(report).Code, http.StatusNoContent, "")

		w := operator.post(lost+"/move", url.Values{"to": {spareID}, "off": {"yes"}})
		mustStatus(t, "move", w.Code, http.StatusSeeOther, w.Body.String())
		if carries(lostToken) || !carries(spareToken) {
			t.Errorf("after the move: lost %t, spare %t", carries(lostToken), carries(spareToken))
		}
		if body := operator.get(lost).Body.String(); !strings.Contains(body, "orgs are gw-spare&#39;s now.") && !strings.Contains(body, "orgs are gw-spare's now.") {
			t.Error("nobody says that they are moved")
		}
		mustStatus(t, "again", operator.post(lost+"/move", url.Values{"to": {spareID}, "off": {"yes"}}).Code, http.StatusConflict, "")
		mustStatus(t, "unknown", operator.post("/provider/edges/"+string(models.NewID[models.EdgeID]())+"/move", url.Values{"to": {spareID}, "off": {"yes"}}).Code, http.StatusNotFound, "")
	})
}
