package models_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// A cloud's password is nowhere in the database's files, and opens with the
// key that sealed it and no other.
func TestCloudPasswordsAreSealed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	url := testkit.SQLiteURL(t)
	const password = "correct horse battery staple"
	db := testkit.Open(t, url)
	_, err := db.System().PutCloud(ctx, models.CloudLogin{Username: "portal", Password: password,
		Cloud: models.Cloud{Slug: "east", Name: "East", Class: models.CloudPrivate}})
	if err != nil {
		t.Fatal(err)
	}
	logins, err := db.System().CloudLogins(ctx)
	if err != nil || len(logins) != 1 || logins[0].Password != password {
		t.Fatalf("opened as %+v: %v", logins, err)
	}
	files, err := filepath.Glob(models.SQLitePath(url) + "*")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte(password)) {
			t.Errorf("%s holds the password", filepath.Base(file))
		}
	}
	other, err := models.Open(ctx, models.Options{URL: url, Key: make([]byte, 32), Logger: testkit.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := other.System().CloudLogins(ctx); err == nil {
		t.Error("another key opened the password")
	}
}
