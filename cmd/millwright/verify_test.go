package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// run gives the arguments to the program as a shell would.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var c cli
	var out bytes.Buffer
	k, err := kong.New(&c, kong.Writers(&out, &out), kong.BindTo(t.Context(), (*context.Context)(nil)), kong.Bind(testkit.Quiet()))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := k.Parse(args)
	if err != nil {
		return out.String(), err
	}
	err = parsed.Run()
	return out.String(), err
}

func TestExportIsVerifiedWithThePublicKeyAlone(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, db *models.DB) {
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		write := func(name, text string) {
			if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w := testkit.NewWorld(t, db)
		w.Machine(t, "web-1")
		key, err := audit.ReadOrMakeKey(file("checkpoint.key"))
		if err != nil {
			t.Fatal(err)
		}
		outside, err := audit.OpenOutside(file("checkpoints.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		service := audit.New(w.System, audit.Options{Key: key, Outside: outside})
		export, err := service.Export(t.Context(), w.Scope(t, "auditor@acme.example", "acme"), models.EventFilter{}, audit.JSONL)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := export.Stream(t.Context(), &text); err != nil {
			t.Fatal(err)
		}
		public, err := run(t, "checkpoint-key", file("checkpoint.key"))
		if err != nil {
			t.Fatal(err)
		}
		write("checkpoint.pub", public)
		write("export.jsonl", text.String())
		write("changed.jsonl", strings.Replace(text.String(), "web-1", "web-2", 1))
		said, err := run(t, "verify", file("export.jsonl"), "--key", file("checkpoint.pub"), "--checkpoints", file("checkpoints.jsonl"))
		if err != nil || !strings.Contains(said, "Intact up to event 4.") {
			t.Errorf("whole: %q: %v", said, err)
		}
		said, err = run(t, "verify", file("changed.jsonl"), "--key", file("checkpoint.pub"))
		if !errors.Is(err, errNotIntact) || !strings.Contains(said, "changed") {
			t.Errorf("changed: %q: %v", said, err)
		}
		if _, err := run(t, "verify", file("checkpoint.key"), "--key", file("checkpoint.pub")); err == nil {
			t.Error("a key was taken for an export")
		}
	})
}
