package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/testkit"
)

// The file leads somewhere whatever comes of the QR code: the key is nowhere
// else. One that the portal made comes down without any script.
func TestDeviceConfigurationIsDownloaded(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(handler(time.Now()))
	t.Cleanup(server.Close)
	downloads := t.TempDir()
	b := testkit.NewBrowser(t, server.URL, folder)
	b.Downloads(downloads)
	fetched := func(what, key string) {
		t.Helper()
		b.Click("[data-vpn-download]")
		file := filepath.Join(downloads, "laptop.conf")
		for until := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			text, err := os.ReadFile(file)
			if err == nil && strings.Contains(string(text), "PrivateKey = "+key) && strings.HasSuffix(string(text), "\n") {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%s: %q, %v", what, text, err)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	const tooLong = "document.querySelector('[data-vpn-scan]').textContent.includes('too long for a QR code') && document.querySelector('[data-vpn-qr]').hidden"
	b.Open("/vpn-device-long")
	testkit.Eval[bool](b, `sessionStorage.setItem("millwright-vpn-key", JSON.stringify({secret: "own-key"})), location.reload(), true`)
	b.Until("the key is put in", "document.querySelector('[data-vpn-config]').textContent.includes('own-key')")
	b.Until("it says that no code holds it", tooLong)
	fetched("a long one of the browser's own key", "own-key\n")

	b.Scripts(false)
	b.Open("/vpn-device-long-here")
	b.Until("the portal says that no code holds it", tooLong)
	fetched("one of the portal's key, without a script", "PRIVATE_KEY_OF_THIS_DEVICE\n")
	for _, message := range b.Messages() {
		t.Errorf("the browser says: %s", message)
	}
}
