package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/edge"
	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// An administration port is asked about whichever side it stands on: a machine's
// port 22 behind the public one 2222 is taken just as well.
func TestAdministrationPortBehindAnotherIsConfirmed(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		m := p.Machine(t, "web-1")
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, changed(wizardForm, "name", "ssh", "port", "2222", "monitor", "tcp"))
		const asks = `id="open_to_all-error"`
		if body := admin.get(page + "/nodes/new?port=22&machine=" + string(m.ID)).Body.String(); !strings.Contains(body, "the port of SSH") {
			t.Error("the form doesn't warn of a port that is filled in")
		}
		node := url.Values{"machine": {string(m.ID)}, "address": {m.Address}, "port": {"22"}, "enabled": {"yes"}}
		w := admin.post(page+"/nodes", node)
		mustStatus(t, "SSH behind it", w.Code, http.StatusUnprocessableEntity, "")
		if !strings.Contains(w.Body.String(), asks) || !strings.Contains(w.Body.String(), `value="22"`) {
			t.Error("it isn't asked, or what was typed is lost")
		}
		w = admin.post(page+"/nodes", changed(node, "open_to_all", "yes"))
		mustStatus(t, "confirmed", w.Code, http.StatusSeeOther, w.Body.String())
		// An edit that leaves it open asks again, and one that doesn't does not.
		edit := changed(wizardForm, "name", "ssh", "port", "2222", "enabled", "yes")
		w = admin.post(page, edit)
		mustStatus(t, "edit, open", w.Code, http.StatusUnprocessableEntity, "")
		if !strings.Contains(w.Body.String(), asks) {
			t.Error("the edit isn't asked about")
		}
		w = admin.post(page, changed(edit, "sources", "192.0.2.0/24"))
		mustStatus(t, "edit, closed", w.Code, http.StatusSeeOther, w.Body.String())
		w = admin.post(page+"/nodes", changed(node, "port", "3389"))
		mustStatus(t, "not open to all", w.Code, http.StatusSeeOther, w.Body.String())
	})
}

// Before something cuts connections it is asked, with how many there are.
func TestCuttingANodeAsksWithItsConnections(t *testing.T) {
	t.Parallel()
	p, feed := newNetworkPortal(t, testkit.SQLite(t))
	m := p.Machine(t, "web-1")
	admin := p.as("admin@acme.example")
	page := admin.makeService(t, wizardForm)
	w := admin.post(page+"/nodes", url.Values{"machine": {string(m.ID)}, "address": {m.Address}, "port": {"80"}, "enabled": {"yes"}})
	mustStatus(t, "add", w.Code, http.StatusSeeOther, w.Body.String())
	id := nodeID.FindStringSubmatch(admin.get(page).Body.String())[1]
	service := page[strings.LastIndexByte(page, '/')+1:]
	open := func(n int) string {
		t.Helper()
		err := feed.Report(t.Context(), edge.Status{Version: 1, Epoch: "a", Orgs: []edge.OrgStatus{{ID: string(p.Acme.ID), Observed: 1, Applied: 1,
			Services: []edge.ServiceStatus{{ID: service, Nodes: []edge.NodeStatus{{ID: id, State: edge.NodeUp, Open: n}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		return admin.get(page).Body.String()
	}
	act := func(op string) {
		t.Helper()
		w := admin.post("/orgs/acme/network/nodes/"+id+"/state", url.Values{"op": {op}})
		mustStatus(t, op, w.Code, http.StatusSeeOther, w.Body.String())
	}
	disable, remove := `href="#ask-disable-`+id+`"`, `href="#ask-remove-`+id+`"`
	const atOnce = `name="op" value="remove"`
	if body := open(2); !strings.Contains(body, disable) || !strings.Contains(body, "2 connections to it are open and end at once") || strings.Contains(body, `<button type="submit" class="btn btn-sm" name="op" value="disable"`) {
		t.Error("Disable doesn't ask with what is open")
	}
	act("drain")
	if body := open(1); !strings.Contains(body, remove) || !strings.Contains(body, "1 connection to it is open and ends at once") || strings.Contains(body, `<button type="submit" class="btn btn-sm btn-ghost-danger" `+atOnce) {
		t.Error("Remove of a draining node doesn't ask with what is open")
	}
	if body := open(0); strings.Contains(body, remove) || !strings.Contains(body, `<button type="submit" class="btn btn-sm btn-ghost-danger" `+atOnce) {
		t.Error("Remove asks with nothing open")
	}
	act("disable")
	if body := open(1); strings.Contains(body, remove) {
		t.Error("Remove of a disabled node asks")
	}
}

// What an edit says fits what it did; a new public IP is had at its price.
func TestEditSaysWhatItDid(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, wizardForm)
		if body := admin.get(page + "/edit").Body.String(); !strings.Contains(body, `<option value="new"`) || !strings.Contains(body, `name="price" value="4000"`) {
			t.Error("no new public IP is offered")
		}
		form := changed(wizardForm, "enabled", "yes", "price", "4000")
		form.Del("accept")
		w := admin.post(page, changed(form, "public_ip", "new"))
		mustStatus(t, "price not accepted", w.Code, http.StatusUnprocessableEntity, "")
		if body := w.Body.String(); !strings.Contains(body, `id="accept-error"`) || !strings.Contains(body, `<option value="new" selected`) {
			t.Error("the price isn't asked for, or the choice is lost")
		}
		w = admin.post(page, changed(form, "public_ip", "new", "accept", "yes", "price", "3999"))
		mustStatus(t, "a price of before", w.Code, http.StatusConflict, "")
		ips := func() (n int) {
			_ = p.Scope(t, "admin@acme.example", "acme").Read(t.Context(), func(r *models.Reader) error {
				list, err := r.PublicIPs()
				n = len(list)
				return err
			})
			return n
		}
		before := ips()
		for _, c := range []struct {
			what, says string
			form       url.Values
		}{
			{"the check", "without a gap", changed(form, "status", "204")},
			{"the port", "What is open stays open", changed(form, "port", "8443")},
			{"the protocol", "speaks another protocol", changed(form, "port", "8443", "protocol", "http")},
			{"the address", "what is open there ends", changed(form, "port", "8443", "protocol", "http", "public_ip", "new", "accept", "yes")},
			{"off", "switched off: nobody gets through", changed(form, "enabled", "no")},
			{"still off", "stays switched off", changed(form, "enabled", "no", "idle", "60")},
			{"on", "is switched on, at 198.51.100.", form},
		} {
			w := admin.post(page, c.form)
			mustStatus(t, c.what, w.Code, http.StatusSeeOther, w.Body.String())
			if body := admin.get(page).Body.String(); !strings.Contains(body, c.says) {
				t.Errorf("%s: the page doesn't say %q", c.what, c.says)
			}
		}
		if n := ips(); n != before+1 {
			t.Errorf("%d public IPs, %d before", n, before)
		}
	})
}

// A port that can't be had is told at the first step, before any price.
func TestWizardTellsOfAPortBeforeThePrice(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		if err := p.System.PutReservedPorts(t.Context(), network.DefaultReservedPorts()); err != nil {
			t.Fatal(err)
		}
		admin := p.as("admin@acme.example")
		page := admin.makeService(t, wizardForm)
		const kept = "Kept for the gateway: TCP 8404, TCP 9101, UDP 51820 (the VPN&#39;s)."
		for _, at := range []string{"/orgs/acme/network/services/new", page + "/edit"} {
			if !strings.Contains(admin.get(at).Body.String(), kept) {
				t.Errorf("%s doesn't say which ports are kept", at)
			}
		}
		const next = "/orgs/acme/network/services/new?step=2&"
		for _, c := range []struct {
			form url.Values
			says string
		}{
			{changed(wizardForm, "name", "two", "port", "9101"), "This port is kept"},
			{changed(wizardForm, "name", "two", "port", "9101", "public_ip", "new"), "This port is kept"},
			{changed(wizardForm, "name", "two", "port", "51820", "protocol", "udp"), "This port is kept"},
			{changed(wizardForm, "name", "two", "protocol", "http"), "taken by the service shop"},
			{changed(wizardForm, "name", "two", "public_ip", "new"), ""},
			{changed(wizardForm, "name", "two", "protocol", "udp"), ""},
		} {
			w := admin.get(next + c.form.Encode())
			want := http.StatusOK
			if c.says != "" {
				want = http.StatusUnprocessableEntity
			}
			mustStatus(t, c.form.Encode(), w.Code, want, "")
			if body := w.Body.String(); c.says != "" && (!strings.Contains(body, `id="port-error"`) || !strings.Contains(body, c.says)) {
				t.Errorf("%s: the first step doesn't say %q", c.form.Encode(), c.says)
			}
		}
		// Its own port isn't taken from a service that is edited.
		w := admin.post(page, changed(wizardForm, "enabled", "yes", "idle", "60"))
		mustStatus(t, "edit", w.Code, http.StatusSeeOther, w.Body.String())
	})
}
