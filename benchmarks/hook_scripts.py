"""What benchmarks/hook.py asks a QuPath to do, in Groovy and on the JavaFX thread."""

FX_CPU = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
return bean.getThreadCpuTime(Thread.currentThread().getId()) / 1e6
"""
PAN = """
def t = new javafx.animation.AnimationTimer() {
  int n = 0
  void handle(long now) {
    n++
    viewer.setCenterPixelLocation(1300 + 300 * Math.sin(n / 30d), 950 + 200 * Math.cos(n / 30d))
  }
}
t.start()
gui.getStage().getProperties().put("bench.pan", t)
"""
NO_PAN = 'gui.getStage().getProperties().remove("bench.pan").stop()'
GAPS = """
def gaps = [last: 0L, worst: 0L] as java.util.concurrent.ConcurrentHashMap
def t = new javafx.animation.AnimationTimer() {
  void handle(long pulse) {
    long now = System.nanoTime()
    if (gaps.last > 0) gaps.worst = Math.max(gaps.worst as long, now - (gaps.last as long))
    gaps.last = now
  }
}
t.start()
gui.getStage().getProperties().put("bench.gaps", [gaps, t])
"""
NO_GAPS = """
def (gaps, t) = gui.getStage().getProperties().remove("bench.gaps")
t.stop()
return gaps.worst / 1e6
"""
OWN_REMOVE = """
def hierarchy = viewer.getHierarchy()
def labels = hierarchy.getAnnotationObjects() as List
hierarchy.removeObjects(labels, true)
gui.getStage().getProperties().put("bench.labels", labels)
"""
OWN_PUT = """
def labels = gui.getStage().getProperties().remove("bench.labels")
Thread.start { viewer.getHierarchy().addObjects(labels) }
"""
# QuPath keeps an 'undo' of 10,000 objects and no more: for one more to be one of these, some go.
OWN_FEWER = """
def hierarchy = viewer.getHierarchy()
hierarchy.removeObjects(hierarchy.getAnnotationObjects().take(100) as List, true)
"""
OWN_ONE = """
def plane = qupath.lib.regions.ImagePlane.getDefaultPlane()
def roi = qupath.lib.roi.ROIs.createRectangleROI(5, 6, 70, 80, plane)
def one = qupath.lib.objects.PathObjects.createAnnotationObject(roi)
Thread.start { viewer.getHierarchy().addObject(one) }
"""
COLLECT = "Thread.start { System.gc() }"
REPAINT = "viewer.repaint()"
FX_USE = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
def pulses = hook.watch.cost().pulses
return [bean.getCurrentThreadCpuTime() / 1e6, pulses, System.nanoTime() / 1e6]
"""
CPU = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
long own = 0
for (t in Thread.getAllStackTraces().keySet())
  if (t.getName().startsWith("qpgaze")) own += bean.getThreadCpuTime(t.getId())
def all = java.lang.management.ManagementFactory.getOperatingSystemMXBean().getProcessCpuTime()
return [own / 1e6, all / 1e6, System.nanoTime() / 1e6]
"""
PULSES = """
def bean = java.lang.management.ManagementFactory.getThreadMXBean()
long spent = 0
for (int n = 0; n < 600; n++) {
  viewer.setCenterPixelLocation(900 + n % 300, 900)
  if (n == 300) spent = 0 // warm by now
  long began = bean.getCurrentThreadCpuTime()
  hook.watch.handle(0L)
  spent += bean.getCurrentThreadCpuTime() - began
}
return spent / 300 / 1e6
"""
CHANGE = """
def said = java.util.Collections.synchronizedList([])
gui.getStage().getProperties().put("bench.changes", said)
Thread.startDaemon {
  def rng = new Random(6)
  for (int n = 0; n < COUNT; n++) {
    sleep(60 + rng.nextInt(60))
    double x = 800 + n
    javafx.application.Platform.runLater {
      said << [x, System.nanoTime().intdiv(1000L)]
      viewer.setCenterPixelLocation(x, 900)
    }
  }
}
"""
