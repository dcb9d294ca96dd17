package testkit

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
)

// Issuer is an OpenID Connect provider on loopback: mockoidc's, with the place
// to sign out that it lacks, and faults.
type Issuer struct {
	*mockoidc.MockOIDC
	// Away makes it answer 503 to everything.
	Away atomic.Bool
	// Elsewhere redirects its keys to this address.
	Elsewhere atomic.Value

	mu        sync.Mutex
	signedOut []string // subjects
}

const endSession = "/oidc/end-session"

// NewIssuer serves one until the test ends.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	mock, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{MockOIDC: mock}
	mux := http.NewServeMux()
	mux.HandleFunc(mockoidc.AuthorizationEndpoint, mock.Authorize)
	mux.HandleFunc(mockoidc.TokenEndpoint, mock.Token)
	mux.HandleFunc(mockoidc.UserinfoEndpoint, mock.Userinfo)
	mux.HandleFunc(mockoidc.JWKSEndpoint, mock.JWKS)
	mux.HandleFunc(mockoidc.DiscoveryEndpoint, i.discovery)
	mux.HandleFunc(endSession, i.endSession)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhere, _ := i.Elsewhere.Load().(string)
		switch {
		case i.Away.Load():
			http.Error(w, "away", http.StatusServiceUnavailable)
		case elsewhere != "" && r.URL.Path == mockoidc.JWKSEndpoint:
			http.Redirect(w, r, elsewhere, http.StatusFound)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	mock.Server = &http.Server{Addr: server.Listener.Addr().(*net.TCPAddr).String()} // only its address is read
	return i
}

// discovery tells where to sign out as well.
func (i *Issuer) discovery(w http.ResponseWriter, r *http.Request) {
	plain := httptest.NewRecorder()
	i.Discovery(plain, r)
	told := map[string]any{}
	if err := json.Unmarshal(plain.Body.Bytes(), &told); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	told["end_session_endpoint"] = i.Addr() + endSession
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(told)
}

// endSession believes a hint that it signed itself, for a client that it knows.
func (i *Issuer) endSession(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	token, err := i.Keypair.VerifyJWT(q.Get("id_token_hint"), i.Now)
	if err != nil || q.Get("client_id") != i.ClientID {
		http.Error(w, "who?", http.StatusBadRequest)
		return
	}
	claims, _ := token.Claims.(jwt.MapClaims)
	subject, _ := claims["sub"].(string)
	i.mu.Lock()
	i.signedOut = append(i.signedOut, subject)
	i.mu.Unlock()
	http.Redirect(w, r, q.Get("post_logout_redirect_uri"), http.StatusFound)
}

// SignedOut lists who has signed out there.
func (i *Issuer) SignedOut() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]string(nil), i.signedOut...)
}
