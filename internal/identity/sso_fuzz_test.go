package identity_test

import (
	"context"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/identity"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// Whatever comes back as the provider's answer, with whatever cookie, signs
// nobody in and is refused in words: the provider never gave these codes out.
//
//	go test -fuzz FuzzOIDCCallback -fuzztime 30s ./internal/identity
func FuzzOIDCCallback(f *testing.F) {
	w := testkit.NewWorld(f, testkit.SQLite(f))
	issuer := testkit.NewIssuer(f)
	s := identity.New(w.System, 1)
	s.UseSSO(identity.SSOOptions{Issuer: issuer.Issuer(), ClientID: issuer.ClientID, ClientSecret: issuer.ClientSecret,
		Label: "Example", GroupsClaim: "groups", PublicURL: "https://portal.example",
		Mappings: []models.GroupRole{{Group: "x", Org: "acme", Role: models.RoleAdmin}}})
	address, cookie, err := s.BeginSSO(context.Background(), "/", "")
	if err != nil {
		f.Fatal(err)
	}
	there, err := url.Parse(address)
	if err != nil || there.Query().Get("code_challenge_method") != "S256" || there.Query().Get("nonce") == "" {
		f.Fatalf("%s: %v", address, err)
	}
	state := there.Query().Get("state")
	start := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	token := strings.Repeat("A", 43)
	f.Add("code=x&state="+state, cookie)
	f.Add("code=x&state="+state+"&iss=https%3A%2F%2Fevil.example", cookie)
	f.Add("error=access_denied&state="+state, cookie)
	f.Add("code=x&code=y&state="+state+"&state=z", cookie)
	f.Add("code=&state=", "")
	f.Add("code=%00&state="+token, start(`{"s":"`+token+`","n":"`+token+`","v":"`+token+`","u":99999999999}`))
	f.Add("code=x&state="+token, start(`{"s":"`+token+`","n":"`+token+`","v":"`+token+`","u":1}`))
	f.Add("code=x&state="+token, start(`{"s":"`+token+`","n":"`+token+`","v":"`+token+`","l":"x","u":99999999999}`))
	f.Add("state[]=x&code[]=y", start(`[]`))
	f.Add("a=%zz;b", "!!!")
	source := 0
	f.Fuzz(func(t *testing.T, query, cookie string) {
		values, _ := url.ParseQuery(query) // what can be read of it
		source++
		a := identity.Attempt{Source: "2001:db8::" + string(rune('a'+source%6)), UserAgent: "fuzz"}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done, err := s.FinishSSO(ctx, a, cookie, values, models.SignedIn{})
		if err == nil || done.Token != "" {
			t.Fatalf("%q with %q signed somebody in: %+v", query, cookie, done)
		}
		if code := models.CodeOf(err); code != models.CodeInvalid && code != models.CodeTooMany {
			t.Fatalf("%q with %q: %v", query, cookie, err)
		}
	})
}
