package vsphere

import (
	"context"
	"net/url"

	"github.com/vmware/govmomi/session"
)

// VMRCLink is an address that VMware Remote Console opens a machine by. It
// clones the service account's session: whoever has it may do, for as long as
// that lasts, all that the portal may. It is for operators, and for no log.
func (c *Client) VMRCLink(ctx context.Context, instanceUUID string) (string, error) {
	link := ""
	err := c.do(ctx, "make a VMRC link to VM "+instanceUUID, func(ctx context.Context, conn *connection) error {
		ref, err := findByUUID(ctx, conn, instanceUUID)
		if err != nil {
			return err
		}
		ticket, err := session.NewManager(conn.vim).AcquireCloneTicket(ctx)
		if err != nil {
			return err
		}
		link = (&url.URL{
			Scheme: "vmrc", User: url.UserPassword("clone", ticket), Host: conn.vim.URL().Host, Path: "/",
			RawQuery: url.Values{"moid": {ref.Value}}.Encode(),
		}).String()
		return nil
	})
	return link, err
}
