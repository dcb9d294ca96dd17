package identity

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/millwright/millwright/models"
)

// person exchanges the code and believes nothing that isn't signed for us,
// just now, for this browser.
func (o *sso) person(ctx context.Context, st ssoStart, code string) (models.SSOPerson, string, error) {
	provider, err := o.provider(ctx)
	if err != nil {
		return models.SSOPerson{}, "", err
	}
	again := func(cause error) (models.SSOPerson, string, error) {
		return models.SSOPerson{}, "", &models.Error{Code: ErrSSOAgain.Code, Message: ErrSSOAgain.Message, Err: cause}
	}
	ctx = oidc.ClientContext(ctx, o.client)
	tokens, err := o.oauth(provider).Exchange(ctx, code, oauth2.VerifierOption(st.Verifier))
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
			return again(errors.New("identity: the provider refuses the code"))
		}
		return models.SSOPerson{}, "", ssoAway(o.Label, errors.New("identity: the code could not be exchanged"))
	}
	raw, _ := tokens.Extra("id_token").(string)
	idToken, err := provider.Verifier(&oidc.Config{ClientID: o.ClientID}).Verify(ctx, raw)
	if err != nil {
		return again(err)
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(st.Nonce)) != 1 {
		return again(errors.New("identity: the token was made for another sign-in"))
	}
	claims := map[string]any{}
	if err := idToken.Claims(&claims); err != nil {
		return again(err)
	}
	if azp, _ := claims["azp"].(string); len(idToken.Audience) > 1 && azp != o.ClientID {
		return again(errors.New("identity: the token was made for another client"))
	}
	if _, told := claims[o.GroupsClaim]; !told && provider.UserInfoEndpoint() != "" {
		if err := o.moreClaims(ctx, provider, tokens, idToken.Subject, claims); err != nil {
			return again(err)
		}
	}
	if len(raw) > idTokenMaxBytes {
		raw = ""
	}
	return o.personOf(idToken.Subject, claims), raw, nil
}

// moreClaims adds what the provider tells at its userinfo endpoint alone.
func (o *sso) moreClaims(ctx context.Context, provider *ssoProvider, tokens *oauth2.Token, subject string, claims map[string]any) error {
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return err
	}
	if info.Subject != subject {
		return errors.New("identity: userinfo is about somebody else")
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return err
	}
	for name, value := range more {
		if _, told := claims[name]; !told {
			claims[name] = value
		}
	}
	return nil
}

// personOf reads the claims. An address that the provider doesn't vouch for is
// no address.
func (o *sso) personOf(subject string, claims map[string]any) models.SSOPerson {
	text := func(name string) string {
		v, _ := claims[name].(string)
		return bounded(strings.TrimSpace(v), emailMaxBytes)
	}
	p := models.SSOPerson{Issuer: o.Issuer, Subject: subject, Groups: groupsOf(claims[o.GroupsClaim])}
	verified, _ := claims["email_verified"].(bool)
	if email := models.NormalEmail(text("email")); (verified || o.EmailsVerified) && unknownAccount(email) == email {
		p.Email = email
	}
	local, _, _ := strings.Cut(p.Email, "@")
	p.Name = bounded(cmp.Or(text("name"), text("preferred_username"), local), nameMaxChars)
	return p
}

// groupsOf reads one name or a list of them.
func groupsOf(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, one := range v {
			if name, ok := one.(string); ok {
				list = append(list, name)
			}
		}
		return slices.Compact(slices.Sorted(slices.Values(list)))
	default:
		return nil
	}
}
