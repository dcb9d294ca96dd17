package factory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/internal/jobs"
	"github.com/millwright/millwright/internal/lab"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
	"github.com/millwright/millwright/models"
)

// TestMain makes this test binary its own simulated vCenter: the simulator
// races by itself, so it never runs in the process of the tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "lab-vcenter" {
		var o lab.VCenterOptions
		parser, err := kong.New(&o)
		if err == nil {
			_, err = parser.Parse(os.Args[2:])
		}
		if err == nil {
			err = lab.RunVCenter(context.Background(), o)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// simulated is a simulated vCenter in a process of its own.
type simulated struct {
	t     testing.TB
	dir   string
	flags []string
	info  lab.Info
	cmd   *exec.Cmd
	stdin io.Closer
	http  *http.Client
}

func simulate(tb testing.TB, flags ...string) *simulated {
	tb.Helper()
	v := &simulated{t: tb, dir: tb.TempDir(), flags: flags, http: &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	v.start()
	tb.Cleanup(v.stop)
	return v
}

func (v *simulated) start() {
	v.t.Helper()
	args := append([]string{"lab-vcenter", "--dir", v.dir, "--end-with-stdin", "--guest-boot-delay", "20ms"}, v.flags...)
	v.cmd = exec.Command(os.Args[0], args...)
	v.cmd.Env = append(os.Environ(), "GORACE=log_path=/dev/null exitcode=0")
	stdin, err := v.cmd.StdinPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	v.stdin = stdin
	stdout, err := v.cmd.StdoutPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &v.info)
	}
	if err != nil {
		v.t.Fatalf("the simulated vCenter did not come up: %v", err)
	}
}

// stop ends the vCenter as a power cut does; start brings it back.
func (v *simulated) stop() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
	_ = v.stdin.Close()
}

func (v *simulated) call(method, path string, body []byte) ([]byte, error) {
	u, err := url.Parse(v.info.URL)
	if err != nil {
		return nil, err
	}
	u.Path = path
	req, err := http.NewRequestWithContext(context.Background(), method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(v.info.Username, v.info.Password)
	res, err := v.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %s", res.Status, text)
	}
	return text, err
}

// faults makes the vCenter misbehave.
func (v *simulated) faults(f lab.FaultRequest) {
	v.t.Helper()
	body, err := json.Marshal(f)
	if err == nil {
		_, err = v.call(http.MethodPost, "/lab/faults", body)
	}
	if err != nil {
		v.t.Fatalf("set faults: %v", err)
	}
}

// machines is what the vCenter holds.
func (v *simulated) machines() []lab.Machine {
	v.t.Helper()
	var list []lab.Machine
	text, err := v.call(http.MethodGet, "/lab/machines", nil)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		v.t.Fatalf("list machines: %v", err)
	}
	return list
}

// rig is a factory with its queue on a database and a simulated vCenter.
type rig struct {
	*testkit.World

	t       testing.TB
	vcenter *simulated
	scope   *models.Scope
	client  *vsphere.Client
	queue   *jobs.Queue
	factory *Factory
	border  atomic.Pointer[func()] // called around each write of a visit
}

// build makes a rig whose queue is not started. Orders go to the public cloud,
// which is the cheaper one.
func build(tb testing.TB, db *models.DB, o Options, flags ...string) *rig {
	tb.Helper()
	return buildOn(tb, db, simulate(tb, append([]string{"--name", "public"}, flags...)...), o)
}

func buildOn(tb testing.TB, db *models.DB, vcenter *simulated, o Options) *rig {
	tb.Helper()
	r := &rig{t: tb, World: testkit.NewWorld(tb, db), vcenter: vcenter}
	r.scope = r.Scope(tb, "user@acme.example", "acme")
	kind, _ := lab.TemplateBySlug("debian-13")
	var err error
	r.Template, err = r.System.PutTemplate(context.Background(), r.Template, map[models.CloudID]string{
		r.Public.ID: kind.InstanceUUID("public"), r.Private.ID: kind.InstanceUUID("private"),
	})
	r.must(err)
	r.connect(o)
	return r
}

// connect makes client, queue and factory, as a start of the portal does.
func (r *rig) connect(o Options) {
	r.t.Helper()
	o.Logger = r.logger()
	r.client = vsphere.New(vsphere.Config{
		Slug: "public", URL: r.vcenter.info.URL, Username: r.vcenter.info.Username, Password: r.vcenter.info.Password,
		ThumbprintSHA256: r.vcenter.info.ThumbprintSHA256, ExpectInstanceUUID: r.vcenter.info.InstanceUUID,
		CallTimeout: 5 * time.Second,
	})
	var err error
	r.queue, err = jobs.New(r.DB, jobs.Options{NodeID: "test", Logger: r.logger()})
	r.must(err)
	clouds := NewClouds()
	clouds.Put(r.Public.ID, r.client)
	r.factory = New(r.System, r.queue, clouds, o)
	r.border.Store(nil)
	r.factory.border = func(models.TaskID) {
		if border := r.border.Load(); border != nil {
			(*border)()
		}
	}
	factory, client := r.factory, r.client
	r.t.Cleanup(func() {
		factory.Close()
		_ = client.Close(context.Background())
	})
}

func (r *rig) logger() *slog.Logger {
	if os.Getenv("TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return testkit.Quiet()
}

// start works and feeds until the test ends or the returned function is called.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	r.must(r.queue.Start(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	fed, listened := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(listened)
		r.DB.Listen(ctx)
	}()
	go func() {
		defer close(fed)
		r.factory.Run(ctx)
	}()
	queue, stopped := r.queue, false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-fed
		<-listened
		if err := queue.Stop(context.Background()); err != nil {
			r.t.Errorf("stop the queue: %v", err)
		}
	}
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// order orders one small machine in the public cloud.
func (r *rig) order(name string) models.Machine {
	r.t.Helper()
	made, err := r.factory.Order(context.Background(), r.scope, models.Order{
		Name: name, Template: "debian-13", InstanceType: "small", Cloud: "public",
	})
	r.must(err)
	return made[0]
}

const patience = 30 * time.Second

// eventually waits until the condition holds, looking whenever something of
// the org changes.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	changes, stop := r.scope.Watch()
	defer stop()
	deadline := time.After(patience)
	again := time.NewTicker(50 * time.Millisecond) // vCenter's own changes announce nothing
	defer again.Stop()
	for !condition() {
		select {
		case <-changes:
		case <-again.C:
		case <-deadline:
			r.t.Fatalf("not within %s: %s\n%s", patience, what, r.report())
		}
	}
}

// report is the state of every Task and machine, for a failed test.
func (r *rig) report() string {
	var b strings.Builder
	_ = r.scope.Read(context.Background(), func(rd *models.Reader) error {
		page, err := rd.Tasks(models.TaskFilter{Page: models.Paging{Limit: 20}})
		for _, t := range page.Rows {
			d, _ := rd.Task(t.ID)
			fmt.Fprintf(&b, "%s %s %s %d%% waiting=%q error=%q detail=%q\n", t.MachineName, t.Kind, t.State, t.Percent, t.Waiting, t.ErrorText, t.Detail)
			for _, s := range d.Steps {
				fmt.Fprintf(&b, "   %s %s %d%% %s\n", s.Name, s.State, s.Percent, s.Reference)
			}
			for _, l := range d.Log {
				fmt.Fprintf(&b, "   · %s\n", l.Text)
			}
		}
		return err
	})
	return b.String()
}

func (r *rig) machine(id models.MachineID) models.Machine {
	r.t.Helper()
	var m models.Machine
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) (err error) {
		m, err = rd.MachineRecord(id)
		return err
	}))
	return m
}

func (r *rig) latest(id models.MachineID) models.TaskDetail {
	r.t.Helper()
	var d models.TaskDetail
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) (err error) {
		d, err = rd.LatestTask(id)
		return err
	}))
	return d
}

// ends waits until the machine's latest Task has ended, and checks how.
func (r *rig) ends(id models.MachineID, state models.TaskState) models.TaskDetail {
	r.t.Helper()
	r.eventually("the task has ended", func() bool { return !r.latest(id).State.Active() })
	d := r.latest(id)
	if d.State != state {
		r.t.Fatalf("the task is %s, want %s\n%s", d.State, state, r.report())
	}
	return d
}

func (r *rig) reaches(id models.MachineID, state models.MachineState) {
	r.t.Helper()
	r.eventually("the machine is "+string(state), func() bool { return r.machine(id).State == state })
}

// vms is how many VMs in vCenter are the machine's.
func (r *rig) vms(id models.MachineID) int {
	n := 0
	for _, m := range r.vcenter.machines() {
		if m.InstanceUUID == id.InstanceUUID() || strings.Contains(m.Name, string(id)) {
			n++
		}
	}
	return n
}

// balanced checks that quota and addresses are what the machines account for.
func (r *rig) balanced() {
	r.t.Helper()
	r.agrees("all that")
}

// outcomes lists how the history tells of the machine, oldest first.
func (r *rig) outcomes(id models.MachineID) []string {
	r.t.Helper()
	var list []string
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) error {
		events, err := rd.ObjectEvents(string(id), 50)
		for _, e := range slices.Backward(events) {
			list = append(list, fmt.Sprintf("%s %s by %s", e.Action, e.Outcome, e.ActorName))
		}
		return err
	}))
	return list
}

// refusals compares how many of each were told as refused.
func (r *rig) refusals(want map[models.Action]int) {
	r.t.Helper()
	r.must(r.scope.Read(context.Background(), func(rd *models.Reader) error {
		for action, n := range want {
			page, err := rd.Events(models.EventFilter{Action: action, Outcome: models.OutcomeRefused, Page: models.Paging{Limit: 200}})
			if err != nil {
				return err
			}
			if len(page.Rows) != n {
				r.t.Errorf("%s: %d refusals are told, want %d", action, len(page.Rows), n)
			}
		}
		return nil
	}))
}
