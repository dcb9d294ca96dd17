package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/millwright/millwright/models"
)

// Key signs checkpoints.
type Key struct{ private ed25519.PrivateKey }

// PublicKey is what checks them: a key, and those that it has followed.
type PublicKey struct {
	key    ed25519.PublicKey
	id     string
	former []PublicKey
}

// With believes what these have signed too.
func (p PublicKey) With(former ...PublicKey) PublicKey {
	p.former = append(slices.Clone(p.former), former...)
	return p
}

// named is the one of the keys that a signature names, without any where
// there is no such.
func (p PublicKey) named(id string) (key ed25519.PublicKey, found bool) {
	if p.id == id {
		return p.key, true
	}
	for _, f := range p.former {
		if f.id == id {
			return f.key, true
		}
	}
	return nil, false
}

// ReadKey reads a private key: PKCS #8 in PEM, as openssl makes it.
func ReadKey(path string) (*Key, error) {
	block, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key (make one with: openssl genpkey -algorithm ed25519)", path)
	}
	return &Key{private: private}, nil
}

// ReadOrMakeKey reads the key, or makes it where there is no such file.
func ReadOrMakeKey(path string) (*Key, error) {
	key, err := ReadKey(path)
	if !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &Key{private: private}, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block}), 0o600)
}

// ReadPublicKey reads a public key: PKIX in PEM, as PEM writes it.
func ReadPublicKey(path string) (PublicKey, error) {
	block, err := readPEM(path, "PUBLIC KEY")
	if err != nil {
		return PublicKey{}, err
	}
	parsed, err := x509.ParsePKIXPublicKey(block)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%s: %w", path, err)
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, fmt.Errorf("%s: not an Ed25519 key", path)
	}
	return newPublicKey(public), nil
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s: no %s in PEM", path, kind)
	}
	return block.Bytes, nil
}

func newPublicKey(key ed25519.PublicKey) PublicKey {
	sum := sha256.Sum256(key)
	return PublicKey{key: key, id: hex.EncodeToString(sum[:8])}
}

// Public is the half to give away.
func (k *Key) Public() PublicKey {
	public, _ := k.private.Public().(ed25519.PublicKey)
	return newPublicKey(public)
}

// ID names the key in checkpoints: the first 8 bytes of its SHA-256.
func (p PublicKey) ID() string { return p.id }

// PEM is the key as a file has it.
func (p PublicKey) PEM() (string, error) {
	block, err := x509.MarshalPKIXPublicKey(p.key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block})), err
}

// timeLayout is a checkpoint's and an event's: UTC, in microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

// message is what a checkpoint's signature is over.
func message(c models.AuditCheckpoint) []byte {
	var b []byte
	for _, part := range [...]string{"millwright checkpoint 1", string(c.OrgID), strconv.FormatInt(c.Sequence, 10), c.Hash,
		c.At.UTC().Format(timeLayout), c.KeyID} {
		b = fmt.Appendf(b, "%d:%s", len(part), part)
	}
	return b
}

func (k *Key) sign(org models.OrgID, sequence int64, hash string) models.AuditCheckpoint {
	c := models.AuditCheckpoint{OrgID: org, Sequence: sequence, Hash: hash, At: models.Now(), KeyID: k.Public().ID()}
	c.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, message(c)))
	return c
}

// segmentMessage is what a segment's signature is over.
func segmentMessage(s models.AuditSegment) []byte {
	var b []byte
	for _, part := range [...]string{"millwright segment 1", string(s.OrgID), strconv.FormatInt(s.FirstSequence, 10), strconv.FormatInt(s.LastSequence, 10),
		s.Hash, s.File, s.SHA256, s.At.UTC().Format(timeLayout), s.KeyID} {
		b = fmt.Appendf(b, "%d:%s", len(part), part)
	}
	return b
}

func (k *Key) signSegment(s *models.AuditSegment) {
	s.At, s.KeyID = models.Now(), k.Public().ID()
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(k.private, segmentMessage(*s)))
}

// signedSegment says whether the key's owner made the segment.
func (p PublicKey) signedSegment(s models.AuditSegment) bool {
	signature, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	key, found := p.named(s.KeyID)
	return err == nil && found && ed25519.Verify(key, segmentMessage(s), signature)
}

// signed says whether the key's owner made the checkpoint.
func (p PublicKey) signed(c models.AuditCheckpoint) bool {
	signature, err := base64.StdEncoding.Strict().DecodeString(c.Signature)
	key, found := p.named(c.KeyID)
	return err == nil && found && c.Sequence > 0 && ed25519.Verify(key, message(c), signature)
}

// sift takes out the org's checkpoints that the key speaks for. One that
// carries the key's name and not its signature is a fault; other keys' are
// counted.
func (p PublicKey) sift(org models.OrgID, list []models.AuditCheckpoint) (ours []models.AuditCheckpoint, others int, fault *Fault) {
	for _, c := range list {
		_, named := p.named(c.KeyID)
		switch {
		case !named:
			others++
		case c.OrgID != org || !p.signed(c):
			if fault == nil {
				fault = &Fault{Kind: Forged, Sequence: max(c.Sequence, 1), Detail: fmt.Sprintf("The checkpoint of %s for it was not signed by the key whose name it carries", c.At.UTC().Format(time.RFC3339))}
			}
		default:
			ours = append(ours, c)
		}
	}
	return ours, others, fault
}
