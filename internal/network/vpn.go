package network

import (
	"context"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/millwright/millwright/models"
)

// VPNRefused says why there is no VPN here; "" where there can be one.
// WireGuard's key exchange and cipher aren't what FIPS 140-3 approves, and Go
// refuses them once that is enforced.
func VPNRefused() string {
	if fips140.Enforced() {
		return "VPN Connect isn't available here: this portal runs under enforced FIPS 140-3, which doesn't approve WireGuard's cryptography. Publish what has to be reached as an Internet service."
	}
	return ""
}

// KeyPair makes a WireGuard key pair: plain X25519, in base64.
func KeyPair() (private, public string, err error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return base64.StdEncoding.EncodeToString(key.Bytes()), base64.StdEncoding.EncodeToString(key.PublicKey().Bytes()), nil
}

// goodKey says whether text is a public key.
func goodKey(text string) bool {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return false
	}
	_, err = ecdh.X25519().NewPublicKey(b)
	return err == nil && strings.Trim(string(b), "\x00") != ""
}

// TurnOnVPN makes the org's end. Its private key never leaves the portal but
// for the gateway.
func (s *Service) TurnOnVPN(ctx context.Context, scope *models.Scope, ip string) error {
	if refused := VPNRefused(); refused != "" {
		return models.Conflict(refused)
	}
	private, public, err := KeyPair()
	if err != nil {
		return err
	}
	return scope.Change(ctx, func(w *models.Writer) error {
		id, err := s.address(w, ip, -1)
		if err != nil {
			return err
		}
		_, err = w.CreateVPN(id, public, private)
		return err
	})
}

// Device is a device that was let in. Private is its key where the portal made
// it: to be shown once, and kept nowhere.
type Device struct {
	Peer    models.PeerRow
	Private string
	Config  string // the .conf, with Private in it
}

// AddDevice lets a device of the user in. With an empty key the portal makes
// one: for browsers that can't. All that is shown of it comes from the
// transaction that let it in: once that is stored, the key must not be lost.
func (s *Service) AddDevice(ctx context.Context, scope *models.Scope, name, publicKey string) (Device, error) {
	var d Device
	if refused := VPNRefused(); refused != "" {
		return d, models.Conflict(refused)
	}
	wrong := map[string]string{}
	if n := len([]rune(name)); n < 1 || n > 60 {
		wrong["device"] = "Enter a name of up to 60 characters, such as “laptop”."
	}
	if publicKey == "" {
		var err error
		if d.Private, publicKey, err = KeyPair(); err != nil {
			return d, err
		}
	} else if !goodKey(publicKey) {
		wrong["public_key"] = "This is no WireGuard public key: 32 bytes in base64."
	}
	if len(wrong) > 0 {
		return d, models.Invalid(wrong)
	}
	err := scope.Change(ctx, func(w *models.Writer) error {
		var err error
		if d.Peer, err = w.AddPeer(scope.UserID(), name, publicKey); err != nil {
			return err
		}
		v, err := w.VPN()
		if err != nil {
			return err
		}
		networks, err := w.NetworkRows()
		d.Config = Configuration(v, networks, d.Peer, d.Private)
		return err
	})
	return d, err
}

// PrivateKeyHere stands in a configuration whose private key the portal never
// saw.
const PrivateKeyHere = "PRIVATE_KEY_OF_THIS_DEVICE"

// Configuration is the device's .conf: all of the org's networks go through
// the tunnel, and nothing else does.
func Configuration(v models.VPNRow, networks []models.NetworkRow, peer models.PeerRow, private string) string {
	if private == "" {
		private = PrivateKeyHere
	}
	allowed := []string{v.Address + "/32"}
	for _, n := range networks {
		allowed = append(allowed, n.CIDR)
	}
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\nAddress = %s/32\n\n[Peer]\nPublicKey = %s\nEndpoint = %s\nAllowedIPs = %s\nPersistentKeepalive = 25\n",
		private, peer.Address, v.PublicKey, v.Endpoint(), strings.Join(allowed, ", "))
}
