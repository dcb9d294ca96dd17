package web

import (
	"context"
	"strings"

	"github.com/millwright/millwright/models"
)

// member makes an account that is a user of the org.
func (p *portal) member(org string) string {
	p.t.Helper()
	u, err := p.System.PutUser(context.Background(), models.User{Email: models.NewID[string]() + "@people.example", Name: "Somebody"})
	if err != nil {
		p.t.Fatal(err)
	}
	id := p.Acme.ID
	if org == p.Globex.Slug {
		id = p.Globex.ID
	}
	if err := p.System.PutMember(context.Background(), id, u.ID, models.RoleUser); err != nil {
		p.t.Fatal(err)
	}
	return string(u.ID)
}

// invitation makes an open one.
func (p *portal) invitation(org string) string {
	p.t.Helper()
	var i models.Invitation
	s := p.Scope(p.t, "admin@"+org+".example", org)
	err := s.Change(context.Background(), func(w *models.Writer) error {
		var err error
		i, err = w.InsertInvitation(s.Org().ID, models.NewID[string]()+"@people.example", models.RoleUser, models.NewID[string]())
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return string(i.ID)
}

// idFor is one of acme's for a route: a fresh one where the route may end it.
func (p *portal) idFor(path string, ids map[string]string) string {
	p.t.Helper()
	switch {
	case strings.Contains(path, "/people/invitations/:id"):
		return p.invitation("acme")
	case strings.Contains(path, "/people/:id"):
		return p.member("acme")
	case strings.Contains(path, "/network/private/:id"): // an admin's empty form deletes one
		return p.edge("acme", "edge-"+models.NewID[string]()[24:], p.MachineOf(p.t, "acme", "m-"+models.NewID[string]()[24:])).network
	default:
		return ids[noun(path)]
	}
}
