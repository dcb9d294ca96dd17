package testkit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millwright/millwright/migrations"
)

// One server per test process, started on first use; it ends with the process.
var (
	server     = sync.OnceValues(startPostgres)
	databaseNo atomic.Int64
)

// PostgresURL makes an empty, migrated PostgreSQL database, as a copy of one
// that was migrated once, and returns its URL.
func PostgresURL(t testing.TB) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v (task deps installs it)", err)
	}
	name := fmt.Sprintf("test_%d", databaseNo.Add(1))
	if err := s.create(name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

// EmptyPostgresURL makes a database without any table.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v (task deps installs it)", err)
	}
	name := fmt.Sprintf("empty_%d", databaseNo.Add(1))
	if _, err := s.admin.ExecContext(context.Background(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

type postgresServer struct {
	lifeline io.Closer // held open, never closed: collected, it would end the server
	port     int
	admin    *sql.DB
	mu       sync.Mutex // a template copies one at a time
}

func (s *postgresServer) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func (s *postgresServer) create(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.admin.ExecContext(context.Background(), "CREATE DATABASE "+name+" TEMPLATE migrated")
	return err
}

func startPostgres() (*postgresServer, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "millwright-postgres-")
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} // #nosec G115 -- ids of the system
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	// The shell's standard input is a pipe of ours: however this process ends,
	// the pipe closes, the server stops and its folder goes.
	script := `"$0" -D "$1" -p "$2" -k "$3" -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_connections=300 >"$3/log" 2>&1 &
pid=$!; cat >/dev/null; kill -QUIT $pid; wait $pid; rm -rf "$3"`
	cmd := exec.Command("sh", "-c", script, filepath.Join(bin, "postgres"), data, strconv.Itoa(port), dir)
	cmd.SysProcAttr, cmd.Dir = attr, "/"
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &postgresServer{port: port, lifeline: lifeline}
	if s.admin, err = sql.Open("pgx", s.url("postgres")); err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(2)
	deadline := time.Now().Add(30 * time.Second)
	for s.admin.Ping() != nil {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			return nil, fmt.Errorf("the server does not answer: %s", log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := s.admin.Exec("CREATE DATABASE migrated"); err != nil {
		return nil, err
	}
	return s, migrations.Postgres(context.Background(), s.url("migrated"))
}

// postgresBin finds the newest server that Debian's packages laid down.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL server is installed")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// FreeAddr is a loopback address that nobody listens on just now.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
