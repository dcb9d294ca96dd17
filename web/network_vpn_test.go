package web

import (
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/millwright/millwright/internal/network"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// An admin turns the VPN off by a plain form, told before how many lose their
// way in; then its public IP can be released. Nobody else is offered it.
func TestVPNIsTurnedOffAndItsAddressReleased(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		const page, off = "/orgs/acme/network/vpn", "/orgs/acme/network/vpn/off"
		admin, user := p.as("admin@acme.example"), p.as("user@acme.example")
		ip := p.takeIP()
		w := admin.post(page, url.Values{"public_ip": {ip}})
		mustStatus(t, "turn on", w.Code, http.StatusSeeOther, w.Body.String())
		for _, b := range []*browser{admin, user} {
			w = b.post(page+"/devices", url.Values{"device": {"laptop"}, "public_key": {""}})
			mustStatus(t, "let in", w.Code, http.StatusOK, w.Body.String())
		}
		if body := admin.get(page).Body.String(); !strings.Contains(body, `action="`+off+`"`) || !strings.Contains(body, "2 devices lose their way in") {
			t.Error("the admin isn't asked, with how many lose their way in")
		}
		if strings.Contains(user.get(page).Body.String(), off) {
			t.Error("a user is offered to turn it off")
		}
		mustStatus(t, "a user turns it off", user.post(off, url.Values{}).Code, http.StatusForbidden, "")
		release := "/orgs/acme/network/ips/" + ip + "/release"
		mustStatus(t, "release in use", admin.post(release, url.Values{}).Code, http.StatusConflict, "")
		w = admin.post(off, url.Values{})
		mustStatus(t, "turn off", w.Code, http.StatusSeeOther, w.Body.String())
		if got := w.Header().Get("Location"); got != page {
			t.Errorf("leads to %s", got)
		}
		body := admin.get(page).Body.String()
		if strings.Contains(body, "data-peer-id") || !strings.Contains(body, "Turn the VPN on") {
			t.Error("the page doesn't show it off")
		}
		mustStatus(t, "turn off twice", admin.post(off, url.Values{}).Code, http.StatusConflict, "")
		w = admin.post(release, url.Values{})
		mustStatus(t, "release", w.Code, http.StatusSeeOther, w.Body.String())
	})
}

// A device that was let in before a network was made doesn't reach it: its row
// says so, and what to do; one that came later has nothing to say.
func TestDeviceSaysWhichNetworkItLacks(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		const page = "/orgs/acme/network/vpn"
		admin := p.as("admin@acme.example")
		w := admin.post(page, url.Values{"public_ip": {p.takeIP()}})
		mustStatus(t, "turn on", w.Code, http.StatusSeeOther, w.Body.String())
		let := func(device string) {
			w := admin.post(page+"/devices", url.Values{"device": {device}, "public_key": {""}})
			mustStatus(t, "let in "+device, w.Code, http.StatusOK, w.Body.String())
		}
		let("before")
		if strings.Contains(admin.get(page).Body.String(), "data-device-lacks") {
			t.Error("a device lacks a network though none was made since")
		}
		err := p.Scope(t, "admin@acme.example", "acme").Change(t.Context(), func(tx *models.Writer) error {
			return tx.CreateNetwork(&models.Network{Name: "backend", CloudID: p.Public.ID, CIDR: "10.77.0.0/24"})
		})
		if err != nil {
			t.Fatal(err)
		}
		let("later")
		body := admin.get(page).Body.String()
		if strings.Count(body, "data-device-lacks") != 1 || !strings.Contains(body, "Let in before the network backend was made") || !strings.Contains(body, "add 10.77.0.0/24") {
			t.Errorf("%d hints", strings.Count(body, "data-device-lacks"))
		}
	})
}

// Whose devices there are is for admins and auditors: a user sees their own
// alone, on the page and in its live part. An auditor sees all and can do
// nothing to any.
func TestDevicesAreSeenByTheirOwnersAdminsAndAuditors(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		p, _ := newNetworkPortal(t, db)
		const page = "/orgs/acme/network/vpn"
		people := map[string]*browser{}
		for _, who := range []string{"admin", "user", "auditor"} {
			people[who] = p.as(who + "@acme.example")
		}
		w := people["admin"].post(page, url.Values{"public_ip": {p.takeIP()}})
		mustStatus(t, "turn on", w.Code, http.StatusSeeOther, w.Body.String())
		for _, who := range []string{"admin", "user"} {
			w = people[who].post(page+"/devices", url.Values{"device": {who + "s-laptop"}, "public_key": {""}})
			mustStatus(t, "let in", w.Code, http.StatusOK, w.Body.String())
		}
		ids := map[string]string{} // whose → the device
		_, rest, _ := strings.Cut(people["admin"].get(page).Body.String(), "<tbody>")
		for row := range strings.SplitSeq(rest, "</tr>") {
			if found := regexp.MustCompile(`data-peer-id="([^"]+)"`).FindStringSubmatch(row); found != nil {
				ids[map[bool]string{true: "admin", false: "user"}[strings.Contains(row, "admins-laptop")]] = found[1]
			}
		}
		if len(ids) != 2 {
			t.Fatalf("the admin sees %v", ids)
		}
		for _, who := range []string{"admin", "user", "auditor"} {
			for how, body := range map[string]string{"page": people[who].get(page).Body.String(), "live part": people[who].get(page+"?part=live", "HX-Request", "true").Body.String()} {
				if whole := strings.HasPrefix(body, "<!doctype"); whole != (how == "page") {
					t.Errorf("the %s is a whole page: %t", how, whole)
				}
				for owner, id := range ids {
					shown := strings.Contains(body, id) && strings.Contains(body, owner+"s-laptop")
					hidden := !strings.Contains(body, id) && !strings.Contains(body, owner+"s-laptop")
					if all := who != "user" || owner == "user"; all && !shown || !all && !hidden {
						t.Errorf("the %s, of the %s's device on the %s: shown %t, hidden %t", who, owner, how, shown, hidden)
					}
				}
				if who == "auditor" && strings.Contains(body, "/revoke") {
					t.Errorf("an auditor is offered to shut a device out on the %s", how)
				}
			}
		}
		// Who has its id from elsewhere can't shut it out either, nor who sees all.
		for who, status := range map[string]int{"user": http.StatusConflict, "auditor": http.StatusForbidden} {
			answer := people[who].post(page+"/devices/"+ids["admin"]+"/revoke", nil)
			mustStatus(t, "a foreign device by the "+who, answer.Code, status, "")
		}
		if !strings.Contains(people["admin"].get(page).Body.String(), ids["admin"]) {
			t.Error("the device was shut out")
		}
		for role, may := range map[models.Role]bool{models.RoleAdmin: true, models.RoleAuditor: true, models.RoleUser: false, models.RoleOperator: false} {
			if role.May(models.VPNReadAll) != may {
				t.Errorf("%s may see everybody's: %t", role, !may)
			}
		}
	})
}

// takeIP gives acme one more public IP.
func (p *portal) takeIP() string {
	p.t.Helper()
	var ip models.OrgIP
	err := p.Scope(p.t, "admin@acme.example", "acme").Change(p.t.Context(), func(w *models.Writer) (err error) {
		ip, err = w.TakePublicIP(1 << 40)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(ip.ID)
}

// A configuration that no QR code holds is shown all the same, with its key in
// it and as a file: that key is nowhere else.
func TestDeviceWithTooManyNetworksForACodeKeepsItsKey(t *testing.T) {
	t.Parallel()
	p, _ := newNetworkPortal(t, testkit.SQLite(t))
	const page = "/orgs/acme/network/vpn"
	if err := p.System.PutVLANs(t.Context(), p.Private.ID, 100, 300); err != nil {
		t.Fatal(err)
	}
	err := p.Scope(t, "admin@acme.example", "acme").Change(t.Context(), func(tx *models.Writer) error {
		for i := range 180 {
			if err := tx.CreateNetwork(&models.Network{Name: fmt.Sprintf("n-%d", i), CloudID: p.Private.ID, CIDR: fmt.Sprintf("10.177.%d.0/24", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	admin := p.as("admin@acme.example")
	w := admin.post(page, url.Values{"public_ip": {p.takeIP()}})
	mustStatus(t, "turn on", w.Code, http.StatusSeeOther, w.Body.String())
	w = admin.post(page+"/devices", url.Values{"device": {"laptop of Ann"}, "public_key": {""}})
	mustStatus(t, "let in", w.Code, http.StatusOK, w.Body.String())
	body := w.Body.String()
	link := regexp.MustCompile(`download="laptop-of-Ann\.conf" href="data:application/octet-stream;base64,([^"]+)"`).FindStringSubmatch(body)
	if link == nil || !strings.Contains(body, "too long for a QR code") {
		t.Fatalf("no file, or no word of the code: %s", body)
	}
	file, err := base64.StdEncoding.DecodeString(link[1])
	if text := html.UnescapeString(body); err != nil || !strings.Contains(text, string(file)) || !strings.Contains(string(file), "10.177.179.0/24") || strings.Contains(string(file), network.PrivateKeyHere) {
		t.Errorf("the file: %q, %v", file, err)
	}
}
