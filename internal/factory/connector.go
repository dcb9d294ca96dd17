package factory

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// Connector tests connections that are not clouds yet.
type Connector struct{ guard vsphere.Guard }

// NewConnector makes one that dials what the guard lets through.
func NewConnector(guard vsphere.Guard) *Connector { return &Connector{guard: guard} }

// testCallTimeout is for each call of a test: a person waits.
const testCallTimeout = 6 * time.Second

// Certificate shows what the server at the URL presents. It sends no password.
func (c *Connector) Certificate(ctx context.Context, url string) (models.Certificate, error) {
	seen, err := vsphere.FetchCertificate(ctx, url, c.guard)
	if err != nil {
		return models.Certificate{}, models.Invalid(map[string]string{"url": addressWords(err)})
	}
	return models.Certificate(seen), nil
}

func addressWords(err error) string {
	var (
		name *net.DNSError
		op   *net.OpError
	)
	switch {
	case errors.Is(err, vsphere.ErrAddress):
		return "The portal doesn't connect there: this address is the portal's own machine, link-local or a metadata service."
	case errors.As(err, &name):
		return "There is no host of this name."
	case errors.Is(err, context.DeadlineExceeded):
		return "Nothing answered there within ten seconds. Is a firewall in between?"
	case errors.As(err, &op):
		return "The connection to this host was refused or lost."
	}
	return "No TLS server answers there. Enter an address like https://vcenter.example/sdk."
}

// Check signs in with the pin and looks whether the cloud can be used: session,
// hosts, and what the connection names.
func (c *Connector) Check(ctx context.Context, l models.CloudLogin) (models.VCenter, error) {
	client := vsphere.New(vsphere.Config{
		Slug: l.Slug, URL: l.URL, Username: l.Username, Password: l.Password, ThumbprintSHA256: l.ThumbprintSHA256,
		Datacenter: l.Datacenter, Folder: l.Folder, ResourcePool: l.ResourcePool, Datastore: l.Datastore,
		Guard: c.guard, CallTimeout: testCallTimeout,
	})
	defer func() {
		sign, cancel := context.WithTimeout(context.WithoutCancel(ctx), closePatience)
		defer cancel()
		_ = client.Close(sign)
	}()
	about, err := client.About(ctx)
	if err != nil {
		return models.VCenter{}, checkFault(err)
	}
	free, err := client.Capacity(ctx)
	if err != nil {
		return models.VCenter{}, checkFault(err)
	}
	return models.VCenter{InstanceUUID: about.InstanceUUID, Name: about.Name, Version: about.Version, Hosts: free.HostsUsable}, nil
}

// checkFault says beside which field what went wrong.
func checkFault(err error) error {
	field, words := "url", "No vCenter answers there."
	switch vsphere.CodeOf(err) {
	case vsphere.CodeBadCredentials:
		field, words = "password", "vCenter doesn't take this account and password."
	case vsphere.CodeCertificate:
		field, words = "pin", "The server shows another certificate than the one that was confirmed. Look at it again."
	case vsphere.CodeWrongVCenter: // so it is
	case vsphere.CodeNoPermission:
		field, words = "username", "The account lacks the right to look at hosts and storage. See what it needs in the documentation."
	case vsphere.CodeUnreachable, vsphere.CodeTimeout:
		words = addressWords(err)
	case vsphere.CodeNotFound:
		field, words = "datacenter", "vCenter has no object of a name given under Placement: "+err.Error()
	default:
		words = "vCenter answered with an error: " + err.Error()
	}
	return models.Invalid(map[string]string{field: words})
}
