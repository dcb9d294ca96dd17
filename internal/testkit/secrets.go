package testkit

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/millwright/millwright/models"
)

// Secrets are texts that are to be nowhere, by what they are.
type Secrets map[string]string

// Find takes the pattern's first group as the secret of the name.
func (s Secrets) Find(t testing.TB, name, pattern, text string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in %.2000s", name, text)
	}
	s[name] = html.UnescapeString(found[1])
	return s[name]
}

// Hidden fails the test where a place has one of them, in any form that it
// could have been put in.
func (s Secrets) Hidden(t testing.TB, places map[string]string) {
	t.Helper()
	for name, secret := range s {
		if len(secret) < 10 {
			t.Fatalf("%s: %q is no secret", name, secret)
		}
		forms := []string{
			secret, strings.ReplaceAll(secret, "-", ""), strings.ReplaceAll(secret, " ", ""),
			url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret), fmt.Sprintf("%q", secret),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			hex.EncodeToString([]byte(secret)),
		}
		slices.Sort(forms)
		for _, form := range slices.Compact(forms) {
			for place, text := range places {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s is in %s: … %q …", name, place, text[max(0, at-80):min(len(text), at+len(form)+20)])
				}
			}
		}
	}
}

// Dump is every value of every column of every table, by table.
func Dump(t testing.TB, kind models.Kind, owner *sql.DB) map[string]string {
	t.Helper()
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if kind == models.PostgreSQL {
		list = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	all := map[string]string{}
	for _, table := range values(t, owner, list) {
		all[table] = strings.Join(values(t, owner, `SELECT * FROM "`+table+`"`), "\n") // #nosec G202 -- a name that the database told
	}
	return all
}

func values(t testing.TB, owner *sql.DB, query string) (list []string) {
	t.Helper()
	rows, err := owner.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	cells := make([]any, len(columns))
	to := make([]any, len(columns))
	for i := range cells {
		to[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		for _, c := range cells {
			if raw, ok := c.([]byte); ok {
				c = string(raw)
			}
			list = append(list, fmt.Sprint(c))
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
