package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/internal/audit"
)

// verifyCommand needs neither the portal nor its database.
type verifyCommand struct {
	Exports     []string `arg:"" name:"export" help:"The export, as JSONL; with segments that were archived before it, in any order." type:"existingfile"`
	Key         []string `help:"The public key (millwright checkpoint-key prints it); with those that it has followed, each as another --key." required:"" type:"existingfile"`
	Checkpoints string   `help:"The file of checkpoints that was kept outside the database, where there is one." type:"existingfile"`
}

// errNotIntact is the end of a verification that proved nothing good: what it
// found has been printed.
var errNotIntact = errors.New("the history is not proven to be intact")

func (v verifyCommand) Run(k *kong.Kong) error {
	keys, err := publicKeys(v.Key)
	if err != nil {
		return err
	}
	key := keys[0].With(keys[1:]...)
	files := make([]io.ReadSeeker, len(v.Exports))
	for i, path := range v.Exports {
		file, err := os.Open(path) // #nosec G304 -- the user names the files
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		files[i] = file
	}
	var outside io.Reader
	if v.Checkpoints != "" {
		file, err := os.Open(v.Checkpoints)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		outside = file
	}
	report, err := audit.VerifyExports(files, key, outside)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(v.Exports, ", "), err)
	}
	_, _ = fmt.Fprintf(k.Stdout, "Org %s. %s\n", report.Org, report)
	if !report.Intact() {
		return errNotIntact
	}
	return nil
}

// publicKeys reads the files.
func publicKeys(paths []string) ([]audit.PublicKey, error) {
	var keys []audit.PublicKey
	for _, path := range paths {
		key, err := audit.ReadPublicKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

type checkpointKeyCommand struct {
	File string `arg:"" help:"The private key, as portal.checkpoint_key_file names it." type:"existingfile"`
}

func (c checkpointKeyCommand) Run(k *kong.Kong) error {
	key, err := audit.ReadKey(c.File)
	if err != nil {
		return err
	}
	text, err := key.Public().PEM()
	if err != nil {
		return err
	}
	_, err = io.WriteString(k.Stdout, text)
	return err
}
