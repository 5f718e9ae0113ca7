package qupath.lib.objects;

import java.util.Collection;
import java.util.UUID;
import qupath.lib.measurements.MeasurementList;
import qupath.lib.objects.classes.PathClass;
import qupath.lib.objects.hierarchy.PathObjectHierarchy;
import qupath.lib.roi.interfaces.ROI;

public abstract class PathObject {
    public native UUID getID();
    public native String getName();
    public native Integer getColor();
    public native PathClass getPathClass();
    public native ROI getROI();
    public native boolean hasROI();
    public native boolean isRootObject();
    public native boolean isAnnotation();
    public native boolean isTMACore();
    public native boolean isLocked();
    public native void setLocked(boolean value);
    public native void setID(UUID id);
    public native void setName(String name);
    public native void setColor(Integer color);
    public native void setPathClass(PathClass pathClass);
    public native MeasurementList getMeasurementList();
    public native boolean hasMeasurements();
    public native PathObject getParent();
    public native Collection<PathObject> getChildObjects();
    public native PathObject[] getChildObjectsAsArray();
    public native void addChildObject(PathObject child);
    public native void addChildObjects(Collection<? extends PathObject> children);
    public native void removeChildObjects(Collection<PathObject> children);
}

public class PathObjects {
    private PathObjects() {}
    public static native PathObject createAnnotationObject(ROI roi);
    public static native PathObject createDetectionObject(ROI roi);
    public static native PathObject createDetectionObject(ROI roi, PathClass pathClass, MeasurementList list);
    public static native PathObject createTileObject(ROI roi, PathClass pathClass, MeasurementList list);
    public static native PathObject createCellObject(ROI roi, ROI nucleus, PathClass pathClass, MeasurementList list);
}

public class PathObjectTools {
    private PathObjectTools() {}
    public static native Collection<PathObject> getObjectsForLocation(PathObjectHierarchy hierarchy, double x, double y,
                                                                      int z, int t, double vertexDistance);
}

public class PathAnnotationObject extends PathObject {}

public class PathDetectionObject extends PathObject {}
