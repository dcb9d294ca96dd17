package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // vSphere's own thumbprints; nothing is decided by it alone
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// username is the account that the portal uses on a simulated vCenter.
const username = "svc-portal@lab.local"

// identity is what stays the same when a vCenter is started again.
type identity struct {
	Password     string `json:"password"`
	InstanceUUID string `json:"instance_uuid"`
	// Epoch counts the starts. References begin at Epoch million, so that a
	// reference from before a crash finds nothing rather than another machine.
	Epoch int64  `json:"epoch"`
	PEM   string `json:"pem"` // certificate and key

	certificate tls.Certificate
}

const identityName = "identity.json"

func loadIdentity(dir string) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lab: folder of vCenter: %w", err)
	}
	path := filepath.Join(dir, identityName)
	id := new(identity)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if id, err = newIdentity(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("lab: read identity: %w", err)
	default:
		if err := json.Unmarshal(b, id); err != nil {
			return nil, fmt.Errorf("lab: read identity: %w", err)
		}
	}
	if id.certificate, err = tls.X509KeyPair([]byte(id.PEM), []byte(id.PEM)); err != nil {
		return nil, fmt.Errorf("lab: certificate of vCenter: %w", err)
	}
	id.Epoch++
	if err := writeJSON(path, id); err != nil {
		return nil, err
	}
	return id, nil
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("lab: make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("lab: make serial: %w", err)
	}
	now := time.Now()
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Millwright lab vCenter"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("lab: make certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("lab: write key: %w", err)
	}
	var out strings.Builder
	_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	_ = pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return &identity{Password: rand.Text(), InstanceUUID: uuid.NewString(), PEM: out.String()}, nil
}

func (id *identity) sha256() string {
	sum := sha256.Sum256(id.certificate.Certificate[0])
	return thumbprint(sum[:])
}

func (id *identity) sha1() string {
	sum := sha1.Sum(id.certificate.Certificate[0]) //nolint:gosec // see the import
	return thumbprint(sum[:])
}

// thumbprint is vSphere's way of writing a hash: 0A:1B:…
func thumbprint(sum []byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// writeJSON replaces a file that only its owner reads, in one step.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("lab: encode %s: %w", filepath.Base(path), err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("lab: write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("lab: write %s: %w", filepath.Base(path), err)
	}
	return nil
}
