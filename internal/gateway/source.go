package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/millwright/millwright/internal/edge"
)

// mostBytes is more than a thousand orgs need.
const mostBytes = 256 << 20

// Client is a Source that asks a portal over HTTPS.
type Client struct {
	base      *url.URL
	tokenFile string
	http      *http.Client
}

// NewClient asks the portal at address with the token that tokenFile holds;
// the file is read for each call, so that a new token needs no restart. caFile
// holds the portal's certificate authority where the system doesn't know it.
func NewClient(address, tokenFile, caFile string) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("portal %q is no URL", address)
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !isLoopback(base.Hostname())) {
		return nil, fmt.Errorf("portal %q: the token goes over https only", address)
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile) // #nosec G304 -- the operator names it
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", caFile)
		}
	}
	transport := &http.Transport{TLSClientConfig: settings, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second}
	return &Client{base: base, tokenFile: tokenFile, http: &http.Client{Transport: transport,
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func isLoopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

// Desired asks for another state than the one that etag names.
func (c *Client) Desired(ctx context.Context, etag string, wait time.Duration) (edge.Desired, string, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+20*time.Second)
	defer cancel()
	req, err := c.request(ctx, http.MethodGet, "/edge/v1/desired?wait="+wait.String(), nil)
	if err != nil {
		return edge.Desired{}, "", err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return edge.Desired{}, "", fmt.Errorf("ask the portal: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		return edge.Desired{}, etag, nil
	default:
		return edge.Desired{}, "", fmt.Errorf("ask the portal: it answers %s", res.Status)
	}
	var d edge.Desired
	if err := json.NewDecoder(io.LimitReader(res.Body, mostBytes)).Decode(&d); err != nil {
		return edge.Desired{}, "", fmt.Errorf("read the portal's answer: %w", err)
	}
	if d.Version != edge.Version {
		return edge.Desired{}, "", fmt.Errorf("the portal speaks version %d of the protocol, this gateway %d", d.Version, edge.Version)
	}
	return d, res.Header.Get("ETag"), nil
}

// Report tells the portal how things stand.
func (c *Client) Report(ctx context.Context, status edge.Status) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	body, err := json.Marshal(status)
	if err != nil {
		return err
	}
	req, err := c.request(ctx, http.MethodPost, "/edge/v1/status", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	if res.StatusCode >= 300 {
		return fmt.Errorf("report: the portal answers %s", res.Status)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	token, err := os.ReadFile(c.tokenFile) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("read the token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base.String(), "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return req, nil
}
