package main

import (
	"context"
	"log/slog"
	"net"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/mail"
	"github.com/millwright/millwright/models"
)

// base is the address under which mails send people to the portal. The demo
// has none configured: it is where it listens.
func (o portalOptions) base(listener net.Listener) string {
	if o.config.Portal.PublicURL != "" {
		return o.config.Portal.PublicURL
	}
	return "http://" + listener.Addr().String()
}

// invitations makes the room that brings people in, with the mail server if
// there is one. The demo keeps its mails for a page, and shows links too.
func (o portalOptions) invitations(people *identity.Service, system *models.System, queue *jobs.Queue, base string, log *slog.Logger) *identity.Invitations {
	switch m := o.config.Mail; {
	case o.lab:
		return identity.NewInvitations(people, mail.Outbox{}, base, true)
	case m == nil:
		log.Warn("no mail is sent: the links of invitations are shown to whoever invites (mail is not configured)")
		return identity.NewInvitations(people, nil, base, true)
	default:
		server := &mail.Server{Host: m.Host, Port: m.Port, Security: mail.Security(m.Security), Username: m.Username, Password: m.Password, From: m.Sender}
		return identity.NewInvitations(people, mail.New(system, queue, server, log), base, false)
	}
}

// singleSignOn lets people in by the configured provider. It isn't asked
// anything yet: one that is away must not keep the portal from starting.
func (o portalOptions) singleSignOn(ctx context.Context, people *identity.Service, system *models.System, log *slog.Logger) error {
	c := o.config.OIDC
	if c == nil {
		return nil
	}
	with := identity.SSOOptions{
		Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.ClientSecret, Label: c.Label, Scopes: c.Scopes,
		GroupsClaim: c.GroupsClaim, EmailsVerified: c.EmailsVerified, PublicURL: o.config.Portal.PublicURL,
	}
	for _, m := range c.Mappings {
		with.Mappings = append(with.Mappings, models.GroupRole{Group: m.Group, Org: m.Org, Role: models.Role(m.Role), ProviderRole: models.Role(m.ProviderRole)})
		if m.Org == "" {
			continue
		}
		if _, err := system.OrgBySlug(ctx, m.Org); models.CodeOf(err) == models.CodeNotFound {
			log.WarnContext(ctx, "single sign-on maps a group to an org that isn't there (yet)", "group", m.Group, "org", m.Org)
		} else if err != nil {
			return err
		}
	}
	people.UseSSO(with)
	return nil
}
