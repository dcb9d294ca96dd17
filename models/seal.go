package models

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// newSeal makes the cipher for secrets at rest: AES-256-GCM.
func newSeal(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("encryption key has %d bytes, wants 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// It makes its own nonces and puts them in front, as FIPS 140-3 wants it.
	return cipher.NewGCMWithRandomNonce(block)
}

// sealSecret encrypts under a nonce of its own; owner (the row's id) is bound in,
// so that a sealed value moved to another row does not open.
func (db *DB) sealSecret(owner, secret string) []byte {
	return db.seal.Seal(nil, nil, []byte(secret), []byte(owner))
}

func (db *DB) openSecret(owner string, sealed []byte) (string, error) {
	plain, err := db.seal.Open(nil, nil, sealed, []byte(owner))
	if err != nil {
		return "", errors.New("sealed secret does not open with this key")
	}
	return string(plain), nil
}
